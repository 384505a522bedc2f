from dataclasses import replace as with_
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.config.models import (
    Config,
    DatabaseSettings,
    DeviceSettings,
    FilterSettings,
    GatewaySettings,
    LogSettings,
    MetricsSettings,
    OfflineSettings,
    UplinkSettings,
    WasmSettings,
)
from gateway.reconcile import Plan, UplinkChange, reconcile, settled


class Device(DeviceSettings, frozen=True, kw_only=True):
    """A protocol of the tests' own."""

    host: str = "plc"
    tags: list[str] = msgspec.field(default_factory=lambda: ["force", "level"])


def tags(device: DeviceSettings) -> list[str]:
    assert isinstance(device, Device)
    return device.tags


def device(name: str, **keys: Any) -> Device:
    return Device(name=name, type="test", **keys)


BASE = Config(
    gateway=GatewaySettings(id="edge"),
    uplink=UplinkSettings(host="broker"),
    devices=[device("press"), device("tank"), device("spare", enabled=False)],
    metrics=MetricsSettings(),
    filters=[FilterSettings(module="deadband", devices=["press"], params={"absolute": 1})],
)
FILTER = BASE.filters[0]
SCALE = FilterSettings(module="scale", tags=["level"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, Plan(), id="nothing"),
        pytest.param({"devices": [*BASE.devices[::-1]]}, Plan(), id="another order"),
        pytest.param({"devices": [device("press")]}, Plan(stop=("tank",)), id="removed"),
        pytest.param(
            {"devices": [BASE.devices[0], device("tank", enabled=False)]}, Plan(stop=("tank",)), id="disabled"
        ),
        pytest.param({"devices": [*BASE.devices, device("line")]}, Plan(start=("line",)), id="added"),
        pytest.param({"devices": [*BASE.devices, device("x", enabled=False)]}, Plan(), id="added, but disabled"),
        pytest.param({"devices": [*BASE.devices[:2], device("spare")]}, Plan(start=("spare",)), id="enabled"),
        pytest.param(
            {"devices": [device("press", host="other"), *BASE.devices[1:]]}, Plan(restart=("press",)), id="another host"
        ),
        pytest.param(
            {"devices": [device("Press"), *BASE.devices[1:]]}, Plan(stop=("press",), start=("Press",)), id="renamed"
        ),
        pytest.param({"filters": []}, Plan(rebuild=("press",)), id="filter removed"),
        pytest.param({"filters": [FILTER, SCALE]}, Plan(rebuild=("press", "tank")), id="filter for all added"),
        pytest.param({"filters": [replace(FILTER, params={"absolute": 2})]}, Plan(rebuild=("press",)), id="parameter"),
        pytest.param({"filters": [replace(FILTER, devices=["pre??"], tags=["f*", "l*"])]}, Plan(), id="same meaning"),
        pytest.param({"filters": [replace(FILTER, tags=["force"])]}, Plan(rebuild=("press",)), id="fewer tags"),
        pytest.param({"filters": [FILTER, replace(SCALE, tags=["no"])]}, Plan(), id="filter with nothing to do"),
        pytest.param(
            {"gateway": GatewaySettings(id="edge", path="other/hall/line")},
            Plan(restart=("press", "tank")),
            id="the points' paths",
        ),
        pytest.param({"uplink": None}, Plan(uplink=UplinkChange.STOP), id="no broker"),
        pytest.param({"uplink": UplinkSettings(host="b2")}, Plan(uplink=UplinkChange.RESTART), id="another broker"),
        pytest.param({"offline": OfflineSettings(replay_rate=9)}, Plan(uplink=UplinkChange.RESTART), id="offline"),
        pytest.param({"log": LogSettings(level="debug")}, Plan(log_level="debug"), id="log level"),
        pytest.param(
            {"gateway": GatewaySettings(id="other"), "database": DatabaseSettings(path="x", max_bytes=2_000_000)},
            Plan(needs_restart=("gateway.id", "database.path", "database.max_bytes")),
            id="needs a restart",
        ),
        pytest.param(
            {"wasm": WasmSettings(batch_ms=9), "filters": []},
            Plan(rebuild=("press",), needs_restart=("wasm.batch_ms",)),
            id="both",
        ),
    ],
)
def test_what_must_be_done(change: dict[str, Any], expected: Plan) -> None:
    plan = reconcile(BASE, replace(BASE, **change), tags=tags)
    assert with_(plan, changes=()) == expected
    touched = len(plan.stop + plan.start + plan.restart + plan.rebuild)
    assert len(plan.changes) == touched + (plan.uplink is not UplinkChange.KEEP) + (plan.log_level is not None)


def test_the_first_broker_is_started() -> None:
    plan = reconcile(replace(BASE, uplink=None), BASE, tags=tags)
    assert plan.uplink is UplinkChange.START
    assert plan.changes == ("uplink: connects to the broker and sends what waits",)


def test_a_section_that_nobody_has_decided_on_needs_a_restart() -> None:
    decided = {"gateway", "offline", "uplink", "log", "filters", "devices"}
    fixed = {"database", "wasm", "control", "policy", "commands"}
    assert set(Config.__struct_fields__) >= decided | fixed
    for name in set(Config.__struct_fields__) - decided:
        section = getattr(BASE, name)
        key = section.__struct_fields__[0]
        changed = replace(BASE, **{name: replace(section, **{key: "something else"})})
        assert reconcile(BASE, changed, tags=tags).needs_restart == (f"{name}.{key}",)
    assert reconcile(BASE, replace(BASE, metrics=None), tags=tags).needs_restart == ("metrics",)


DEVICES = st.lists(
    st.builds(
        device,
        st.sampled_from("abcd"),
        host=st.sampled_from("xy"),
        enabled=st.booleans(),
        path=st.sampled_from([None, "p/q/r"]),
        tags=st.sampled_from([["force"], ["force", "level"]]),
    ),
    unique_by=lambda one: one.name,
    max_size=4,
)
FILTERS = st.lists(
    st.builds(
        FilterSettings,
        module=st.sampled_from(["scale", "deadband"]),
        devices=st.sampled_from([["*"], ["a"], ["[ab]", "c"]]),
        tags=st.sampled_from([["*"], ["force"], ["level"]]),
        params=st.sampled_from([{}, {"factor": 2}]),
    ),
    max_size=3,
)
CONFIGS = st.builds(
    Config,
    gateway=st.builds(GatewaySettings, id=st.sampled_from(["g", "h"]), path=st.sampled_from(["s/a/l", "s/a/m"])),
    database=st.builds(DatabaseSettings, path=st.sampled_from(["1.db", "2.db"])),
    uplink=st.none() | st.builds(UplinkSettings, host=st.sampled_from(["b", "c"])),
    offline=st.builds(OfflineSettings, enabled=st.booleans()),
    log=st.builds(LogSettings, level=st.sampled_from(["info", "debug"])),
    devices=DEVICES,
    filters=FILTERS,
)


def running(config: Config) -> dict[str, tuple[object, ...]]:
    """What a gateway that was started with this configuration does, device by device."""
    return {one.name: (adapter(config, one), chain(config, one)) for one in config.devices if one.enabled}


def adapter(config: Config, one: DeviceSettings) -> tuple[object, ...]:
    return one, [config.point_path(one, tag) for tag in tags(one)]


def chain(config: Config, one: DeviceSettings) -> list[tuple[object, ...]]:
    from gateway.config.globs import matches

    bound = [
        (setting.module, setting.params, [tag for tag in tags(one) if matches(setting.tags, tag)])
        for setting in config.filters
        if matches(setting.devices, one.name)
    ]
    return [each for each in bound if each[2]]


@given(CONFIGS, CONFIGS)
def test_the_plan_leads_to_what_a_fresh_start_would_do(old: Config, new: Config) -> None:
    plan = reconcile(old, new, tags=tags)
    listed = plan.stop + plan.start + plan.restart + plan.rebuild
    assert len(set(listed)) == len(listed)

    goal = settled(old, new)
    now, wanted = running(old), running(goal)
    for name in plan.stop + plan.restart:
        del now[name]
    for name in plan.start + plan.restart:
        assert name not in now
        now[name] = wanted[name]
    for name in plan.rebuild:
        assert now[name][0] == wanted[name][0]
        now[name] = wanted[name]
    assert now == wanted

    untouched = now.keys() - {*listed}
    assert all(running(old)[name] == wanted[name] for name in untouched)
    assert (plan.uplink is UplinkChange.KEEP) == (
        goal.uplink == old.uplink and (goal.uplink is None or goal.offline == old.offline)
    )


@given(CONFIGS, CONFIGS)
def test_what_was_applied_needs_nothing_more_than_the_restart(old: Config, new: Config) -> None:
    first = reconcile(old, new, tags=tags)
    assert reconcile(settled(old, new), new, tags=tags) == Plan(needs_restart=first.needs_restart)
    assert reconcile(new, new, tags=tags) == Plan()


def test_filters_on_derived_tags_matter_too():
    def with_tags(*names: str) -> Config:
        return replace(BASE, filters=[FilterSettings(module="rate"), FilterSettings(module="deadband", tags=[*names])])

    def made(_config: Config, device: DeviceSettings) -> list[str]:
        return [f"{tag}.per_second" for tag in tags(device)]

    old, new = with_tags("*.none"), with_tags("*.per_second")
    assert reconcile(old, new, tags=tags).rebuild == ()
    rebuilt = reconcile(old, new, tags=tags, derived=made).rebuild
    assert set(rebuilt) == {device.name for device in BASE.devices if device.enabled}
    # Patterns that mean the same are the same, there as well.
    assert reconcile(new, with_tags("*.per_*"), tags=tags, derived=made).rebuild == ()

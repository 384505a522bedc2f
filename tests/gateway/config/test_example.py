"""config/: what ships can be used as it stands, is complete, and tells the defaults that the models have."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from msgspec import NODEFAULT, inspect

from gateway.check import MODELS, load
from gateway.config.models import Config, DeviceSettings
from gateway.config.values import bare
from tests.gateway.uplink.certificates import Authority

FOLDER = Path(__file__).parents[3] / "config"
EXAMPLE = FOLDER / "example.toml"
COMMENTED = re.compile(r"^# (?=\[|[a-z0-9_]+ = )", re.MULTILINE)


def uncommented():
    """The example with every key in force."""
    return COMMENTED.sub("", EXAMPLE.read_text())


def commented_only():
    """The lines that are commented out, as a file of their own below their sections' headings."""
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        if COMMENTED.match(line):
            lines.append(COMMENTED.sub("", line))
        elif line.startswith("[") or re.match(r"(name|type) = ", line):
            lines.append(line)
    return tomllib.loads("\n".join(lines))


def keys(model, where=""):
    """Every key of a model and what is below it, as (path, field)."""
    for field in inspect.type_info(model).fields:
        path = f"{where}.{field.encode_name}" if where else field.encode_name
        yield path, field
        yield from below(field.type, path)


def below(kind, path):
    kind = bare(kind)[0]
    if isinstance(kind, inspect.UnionType):
        for member in kind.types:
            yield from below(member, path)
    elif isinstance(kind, inspect.ListType):
        yield from below(kind.item_type, path)
    elif isinstance(kind, inspect.StructType) and kind.cls is not DeviceSettings:
        yield from keys(kind.cls, path)


OWN_KEYS = [(f"{name}:{path}", field) for name in MODELS for path, field in keys(MODELS[name])]
COMMON = {f"{name}:{key}" for name in MODELS for key in DeviceSettings.__struct_fields__}
ALL_KEYS = [
    *keys(Config),
    *keys(DeviceSettings, "devices"),
    *((path, field) for path, field in OWN_KEYS if path not in COMMON),
]


def given(tree, path):
    """The values that stand at a key path, in each item of the lists on the way."""
    protocol, _, path = path.rpartition(":")
    here = [one for one in tree["devices"] if one["type"] == protocol] if protocol else [tree]
    for key in path.split("."):
        here = [one[key] for one in here if key in one]
        here = [item for one in here for item in (one if isinstance(one, list) else [one])]
    return here


def test_it_can_be_used_as_it_stands(monkeypatch):
    config = load(EXAMPLE)
    assert [device.type for device in config.devices] == ["opcua", "modbus"]
    assert [one.module for one in config.filters] == ["scale", "window", "deadband"]
    assert config.uplink is not None


@pytest.mark.parametrize("path", [path for path, _ in ALL_KEYS])
def test_every_key_of_the_models_is_in_it(path):
    assert given(tomllib.loads(uncommented()), path) != []


def test_with_every_key_in_force_it_can_be_used(tmp_path):
    # Two ways to say one thing: a password as text or as a file, a user by name or by certificate. And the pin is of
    # another file than the module that ships.
    text = re.sub(r"^(password_file|user_(cert|key)|sha256).*\n", "", uncommented(), flags=re.MULTILINE)
    (tmp_path / "config.toml").write_text(text)
    authority = Authority(tmp_path)
    made = dict(zip(("ca", "cert", "key"), (authority.certificate, *authority.issue("127.0.0.1")), strict=True))
    for key, name in re.findall(r'^(ca|cert|key)_file = "(.*?)"', text, re.MULTILINE):
        shutil.copy(made[key], tmp_path / name)
    (tmp_path / "policy.rego").write_text((FOLDER / "policy.rego").read_text())
    (tmp_path / "press-tags.csv").write_text((FOLDER / "press-tags.csv").read_text())
    config = load(tmp_path / "config.toml", env={"MQTT_PASSWORD": "a", "PRESS_PASSWORD": "b"})
    assert config.uplink.password == "a"
    assert config.devices[0].password == "b"
    assert [tag.name for tag in config.devices[0].tags][-4:] == ["pressure", "stroke", "currents", "motor"]
    assert config.devices[0].tags[-1].fields == ["Speed", "Position.X"]


def test_a_commented_key_shows_its_default():
    tree = commented_only()
    shown = 0
    for path, field in ALL_KEYS:
        # Another tag's, device's or filter's own key may stand there as an example; None is no value to show.
        if field.default in (NODEFAULT, None) or field.encode_name in ("name", "type"):
            continue
        if values := given(tree, path):
            # Several devices of one protocol may show a key; one of them shows the default.
            assert field.default in values, path
            shown += 1
    assert shown > 25


def test_the_file_for_k3s_can_be_used():
    config = load(FOLDER / "k3s.json", env={"TIDEGATE_MQTT_PASSWORD": "from a Secret", "NODE_NAME": "edge-7"})
    assert config.gateway.id == "edge-7"
    assert config.uplink.port == 1883


def test_the_case_studys_file_can_be_used():
    config = load(FOLDER / "case-study.json", env={})
    assert (config.database.path, config.offline.sync_interval) == ("/data/industrial-iot.db", 300)
    assert config.uplink is None

import hashlib
import os

import pytest

from gateway.check import MODELS, chain_of, load, tags_of
from gateway.config.models import FilterSettings
from gateway.errors import ConfigError
from gateway.wasm.plan import plan_chain

PRESS = """
[[devices]]
name = "press"
type = "opcua"
url = "opc.tcp://10.0.0.1:4840"
tags = [{ name = "temperature", node = "ns=2;s=T" }, { name = "strokes", node = "ns=2;s=S" }]
"""
METER = """
[[devices]]
name = "meter"
type = "modbus"
host = "10.0.0.2"
tags = [{ name = "voltage", address = 0 }]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def problems(path):
    with pytest.raises(ConfigError) as error:
        load(path, env={})
    return {problem.where: problem.what for problem in error.value.problems}


def worked_on(settings, device):
    return [
        tag for step in plan_chain([(0, settings, None)], device=device.name, tags=tags_of(device)) for tag in step.tags
    ]


def test_models_are_those_of_the_registry():
    assert list(MODELS) == ["opcua", "modbus"]
    assert len(MODELS) == 2
    assert "opcua" in MODELS
    assert "profinet" not in MODELS
    assert MODELS["opcua"].__name__ == "OpcuaSettings"


def test_a_filter_knows_its_tags(write):
    config = load(write(PRESS + METER), env={})
    press, meter = config.devices
    assert worked_on(FilterSettings(module="x"), press) == ["temperature", "strokes"]
    assert worked_on(FilterSettings(module="x", tags=["t*", "?trokes"]), press) == ["temperature", "strokes"]
    assert worked_on(FilterSettings(module="x", devices=["m*"]), press) == []
    assert worked_on(FilterSettings(module="x", devices=["m*"], tags=["t*"]), meter) == []


def test_elements_and_fields_are_tags_like_others(write):
    text = PRESS.replace('"ns=2;s=S" }', '"ns=2;s=S", elements = 2, fields = ["Speed", "Position.X"] }')
    (press,) = load(write(text), env={}).devices
    assert worked_on(FilterSettings(module="scale", tags=["strokes[0]*"]), press) == [
        "strokes[0].Speed",
        "strokes[0].Position.X",
    ]
    assert worked_on(FilterSettings(module="scale", tags=["*.Speed"]), press) == [
        "strokes[0].Speed",
        "strokes[1].Speed",
    ]
    wrong = text + '[[filters]]\nmodule = "deadband"\ntags = ["strokes"]\nparams = { absolute = 1.0 }\n'
    assert problems(write(wrong)) == {"filters[0].tags[0]": '"strokes" means no tag of "press"'}


def test_a_disabled_device_may_be_filtered(write):
    text = PRESS.replace("tags =", "enabled = false\ntags =") + '[[filters]]\nmodule = "deadband"\n'
    assert load(write(text), env={}).devices[0].enabled is False


def test_a_pattern_for_nothing_is_told_with_its_place(write):
    text = PRESS + METER + '[[filters]]\nmodule = "deadband"\ndevices = ["*", "x"]\ntags = ["voltage", "y*", "z"]\n'
    told = problems(write(text))
    assert list(told) == ["filters[0].devices[1]", "filters[0].tags[1]", "filters[0].tags[2]"]
    assert told["filters[0].tags[1]"] == '"y*" means no tag of "press" and 1 more device'


def test_patterns_are_not_judged_while_a_device_is_wrong(write):
    text = PRESS.replace("ns=2;s=S", "S") + '[[filters]]\nmodule = "deadband"\ntags = ["stroke"]\nparams = { x = 1 }\n'
    assert list(problems(write(text))) == ["filters[0].params.x", "devices[0].tags[1].node"]


def test_a_name_that_stands_twice_is_told_once(write):
    more = METER.replace("address = 0 }", 'address = 0 }, { name = "voltage", address = 9 }')
    for device in (PRESS.replace("strokes", "temperature"), more):
        assert list(problems(write(device))) == ["devices[0].tags[1].name"]


def test_a_module_beside_the_file_is_found_from_anywhere(write, tmp_path, monkeypatch):
    from gateway.wasm.library import resolve

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.wasm").write_bytes(resolve("scale", tmp_path).read_bytes())
    pin = hashlib.sha256(resolve("scale", tmp_path).read_bytes()).hexdigest()
    text = f'[[filters]]\nmodule = "own/mine.wasm"\nsha256 = "{pin}"\n'
    path = write(PRESS + text + 'params = { factor = "${F:-2}" }\n')
    monkeypatch.chdir("/")
    (settings,) = load(path, env={}).filters
    assert settings.module == str(tmp_path / "own" / "mine.wasm")
    assert settings.params == {"factor": 2}


def test_the_environment_is_the_processs_own_where_none_is_given(write, monkeypatch):
    monkeypatch.setenv("TIDEGATE_TEST_ID", "edge-9")
    assert load(write('[gateway]\nid = "${TIDEGATE_TEST_ID}"\n')).gateway.id == "edge-9"
    assert "TIDEGATE_TEST_ID" in os.environ


def test_a_chain_is_followed_from_filter_to_filter(write):
    text = (
        METER
        + '[[filters]]\nmodule = "rate"\noutputs = { per_second = "rise" }\n'
        + '[[filters]]\nmodule = "deadband"\ntags = ["*.rise"]\n'
    )
    config = load(write(text), env={})
    rate, deadband = chain_of(config, config.devices[0])
    assert [one.tag for one in rate.derived] == ["voltage.rise"]
    assert deadband.tags == ("voltage.rise",)


def test_a_pattern_may_mean_a_text_beside_a_number(write):
    text = METER.replace("address = 0 }", 'address = 0 }, { name = "text", address = 9, type = "string", length = 8 }')
    config = load(write(text + '[[filters]]\nmodule = "scale"\n'), env={})
    assert chain_of(config, config.devices[0])[0].tags == ("voltage",)

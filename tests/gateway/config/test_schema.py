import json
import tomllib
from pathlib import Path

import pytest

from gateway.check import MODELS
from gateway.config.schema import schema
from tests.gateway.config import bench_model
from tests.gateway.config.json_schema import mistakes

ROOT = Path(__file__).parents[3]
SCHEMA = schema(MODELS)
BENCH = schema({"bench": bench_model.BenchSettings})
GOLDEN = ROOT / "tests" / "golden" / "config"


def device(**more):
    return {"devices": [{"type": "bench", "name": "a", "host": "b", "tags": [{"name": "t", "channel": 1}], **more}]}


@pytest.mark.parametrize("name", ["example.toml", "k3s.json", "case-study.json"])
def test_what_ships_fits_the_schema(name):
    text = (ROOT / "config" / name).read_text()
    assert mistakes(SCHEMA, json.loads(text) if name.endswith(".json") else tomllib.loads(text)) == []


@pytest.mark.parametrize(
    "case",
    [
        "bad_choice",
        "bad_name",
        "bad_path",
        "empty_host",
        "list_is_a_section",
        "missing_key",
        "modbus_bad_byte_order",
        "number_in_quotes",
        "out_of_range",
        "password_twice",
        "protocol_missing",
        "protocol_unknown",
        "section_is_a_value",
        "topic_with_wildcard",
        "unknown_key",
        "unknown_section",
        "wrong_type",
    ],
)
def test_what_the_reader_refuses_by_shape_the_schema_refuses(case):
    assert mistakes(SCHEMA, tomllib.loads((GOLDEN / case / "config.toml").read_text()))


def test_every_key_is_described():
    for name, part in SCHEMA["$defs"].items():
        assert part["description"], name
        for key, node in part.get("properties", {}).items():
            assert described(node), f"{name}.{key}"


def described(node):
    if "description" in node:
        return True
    options = [node, *node.get("anyOf", [])]
    targets = [SCHEMA["$defs"][option["$ref"].rpartition("/")[2]] for option in options if "$ref" in option]
    return any("description" in target for target in targets)


def test_defaults_are_shown():
    offline = SCHEMA["$defs"]["OfflineSettings"]["properties"]
    assert offline["enabled"]["default"] is True
    assert offline["sync_interval"]["default"] == 60.0


def test_devices_are_told_apart_by_type():
    assert mistakes(BENCH, device()) == []
    assert mistakes(BENCH, device(type="opcua"))
    no_type = device()
    del no_type["devices"][0]["type"]
    assert "$.devices[0] lacks type" in mistakes(BENCH, no_type)
    assert "DeviceSettings" not in BENCH["$defs"]


@pytest.mark.parametrize(
    ("more", "right"),
    [
        ({"interval_s": "${INTERVAL}"}, True),
        ({"interval_s": "soon"}, False),
        ({"mode": "${MODE:-fast}"}, True),
        ({"mode": "medium"}, False),
        ({"enabled": "${ENABLED}"}, True),
        ({"password_file": "/run/secret"}, True),
        ({"key_password_file": "/run/secret"}, True),
        ({"password": "a", "password_file": "/run/secret"}, False),
        ({"password_file": ""}, False),
    ],
)
def test_it_knows_variables_and_secret_files(more, right):
    assert (mistakes(BENCH, device(**more)) == []) is right


def test_it_is_plain_json():
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA

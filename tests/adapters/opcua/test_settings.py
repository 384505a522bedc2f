import subprocess
import sys

import msgspec
import pytest

from adapters.base import PointSpec
from adapters.opcua import PROTOCOL
from adapters.opcua.settings import OpcuaSettings
from gateway.batch import Kind


def settings(**keys: object) -> OpcuaSettings:
    tags = [
        {"name": "t", "node": "ns=2;s=T", "unit": "°C", "kind": "f64"},
        {"name": "n", "node": "nsu=urn:x;i=7"},
    ]
    return msgspec.convert(
        {"name": "press", "type": "opcua", "url": "opc.tcp://10.0.0.7:4840/ua", "tags": tags, **keys}, OpcuaSettings
    )


def test_importing_the_folder_does_not_import_asyncua() -> None:
    code = "import sys, adapters.opcua; print([m for m in sys.modules if m.partition('.')[0] == 'asyncua'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_sound_device_has_no_problems() -> None:
    assert PROTOCOL.check(settings(username="op", password="x")) == []


@pytest.mark.parametrize(
    ("keys", "where", "says"),
    [
        ({"url": "opc.tcp://u:secret@plc"}, "url", "password_file"),
        ({"url": "http://plc:4840"}, "url", "opc.tcp://HOST:PORT"),
        ({"url": "opc.tcp://:4840"}, "url", "opc.tcp://HOST:PORT"),
        ({"url": "opc.tcp://plc:99999"}, "url", "opc.tcp://HOST:PORT"),
        ({"url": "opc.tcp://plc:0"}, "url", "opc.tcp://HOST:PORT"),
        ({"password": "x"}, "password", "username"),
        ({"tags": [{"name": "a", "node": "T"}]}, "tags[0].node", "not a node id"),
        ({"tags": [{"name": "a", "node": "i=1"}, {"name": "a", "node": "i=2"}]}, "tags[1].name", "tags[0]"),
    ],
)
def test_check_names_the_key_and_the_mistake(keys: dict[str, object], where: str, says: str) -> None:
    ((found, what),) = PROTOCOL.check(settings(**keys))
    assert found == where
    assert says in what
    assert "secret" not in what


@pytest.mark.parametrize(
    "keys",
    [
        {"type": "modbus"},
        {"publishing_interval_ms": 0},
        {"queue_size": 0},
        {"timeout_s": 0},
        {"tags": [{"name": "a"}]},
        {"tags": [{"name": "a", "node": "i=1", "kind": "float"}]},
        {"colour": "red"},
    ],
)
def test_the_model_refuses(keys: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        settings(**keys)


def test_one_node_may_be_read_by_two_tags() -> None:
    twice = settings(tags=[{"name": "a", "node": "i=1"}, {"name": "b", "node": "i=1"}])
    assert PROTOCOL.check(twice) == []
    assert any("more than one tag, such as i=1" in line for line in PROTOCOL.plan(twice))


def test_points_follow_the_tags() -> None:
    assert PROTOCOL.points(settings()) == [PointSpec("t", "°C", Kind.F64), PointSpec("n", "", None)]


def test_the_plan_says_what_will_be_asked() -> None:
    text = "\n".join(PROTOCOL.plan(settings(url="opc.tcp://[::1]/ua", username="op", password="secret")))
    assert "opc.tcp://[::1]:4840/ua, as user 'op'" in text
    assert "changes of 2 tags sent every 100 ms" in text
    assert "kept there for 120 s while the gateway is away; a tag that changes with each sample fills" in text
    assert "2 tags, asked for in 1 request of" in text
    assert "secret" not in text
    assert "note" not in text


def test_the_plan_warns_of_samples_that_the_queue_cannot_hold() -> None:
    plan = PROTOCOL.plan(settings(publishing_interval_ms=1000, sampling_interval_ms=10, queue_size=20))
    assert any("100 samples" in line and "raise queue_size" in line for line in plan)

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
        ({"user_cert_file": "/u.der"}, "user_key_file", "goes with user_cert_file"),
        ({"user_key_file": "/u.pem"}, "user_cert_file", "goes with user_key_file"),
        ({"user_key_password": "secret"}, "user_key_password", "without a key"),
        (
            {"user_cert_file": "/nowhere.der", "user_key_file": "/u.pem"},
            "user_cert_file",
            "/nowhere.der cannot be read",
        ),
        ({"user_cert_file": "/u.der", "user_key_file": "/u.pem", "username": "op"}, "username", "one of the two"),
        ({"ignore_checks": ["expired"]}, "ignore_checks", "has no effect"),
        ({"ignore_checks": ["expired"], "security": "None"}, "ignore_checks", "has no effect"),
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
        {"security": "none"},
        {"security": "Basic256"},
        {"security_mode": "None"},
        {"ignore_checks": ["trust"]},
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
    text = "\n".join(
        PROTOCOL.plan(settings(url="opc.tcp://[::1]/ua", username="op", password="secret", security="auto"))
    )
    assert "opc.tcp://[::1]:4840/ua, as user 'op', signed and encrypted by the strongest policy on offer" in text
    assert "changes of 2 tags sent every 100 ms" in text
    assert "kept there for 120 s while the gateway is away; a tag that changes with each sample fills" in text
    assert "2 tags, asked for in 1 request of" in text
    assert "secret" not in text
    assert "note" not in text


@pytest.mark.parametrize(
    ("keys", "secured", "notes"),
    [
        ({}, "not encrypted", ["anybody on the network", 'security = "auto"']),
        ({"security": "None"}, "not encrypted", []),
        ({"security": "None", "username": "op", "password": "x"}, "not encrypted", ["is told the password"]),
        ({"security": "Basic256Sha256"}, "signed and encrypted by Basic256Sha256", []),
        ({"security": "auto", "security_mode": "Sign"}, "signed by the strongest policy on offer, not encrypted", []),
        (
            {"security": "auto", "ignore_checks": ["host_name", "expired"]},
            "encrypted",
            ["not pass: host_name, expired"],
        ),
    ],
)
def test_the_plan_says_how_it_is_secured(keys: dict[str, object], secured: str, notes: list[str]) -> None:
    lines = PROTOCOL.plan(settings(**keys))
    assert secured in lines[0]
    told = [line for line in lines if line.startswith("note: ")]
    assert len(told) == bool(notes)
    assert all(note in told[0] for note in notes)


def test_the_plan_warns_of_samples_that_the_queue_cannot_hold() -> None:
    plan = PROTOCOL.plan(settings(publishing_interval_ms=1000, sampling_interval_ms=10, queue_size=20))
    assert any("100 samples" in line and "raise queue_size" in line for line in plan)

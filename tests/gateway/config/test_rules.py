"""What no single key can tell, where it takes files that are more than text."""

import socket

import pytest
from cryptography.hazmat.primitives import serialization

from gateway.check import load
from gateway.errors import ConfigError
from tests.gateway.uplink.certificates import Authority


@pytest.fixture
def problems(tmp_path):
    def problems(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        try:
            load(path, env={})
        except ConfigError as error:
            return {problem.where: problem.what for problem in error.problems}
        return {}

    return problems


def tls(**keys):
    return '[uplink]\nhost = "broker"\n[uplink.tls]\n' + "".join(f'{key} = "{value}"\n' for key, value in keys.items())


@pytest.fixture
def files(tmp_path):
    """A root, and two certificates with their keys."""
    made = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        authority = Authority(tmp_path / name)
        made[name] = (authority.certificate, *authority.issue("127.0.0.1"))
    return made


def test_certificates_that_fit(problems, files):
    ca, cert, key = files["a"]
    assert problems(tls(ca_file=ca, cert_file=cert, key_file=key)) == {}


def test_a_key_of_another_certificate(problems, files):
    told = problems(tls(cert_file=files["a"][1], key_file=files["b"][2]))
    assert list(told) == ["uplink.tls.key_file"]
    assert "is not the key of the certificate in" in told["uplink.tls.key_file"]


def test_a_locked_key_is_told_and_nobody_is_asked_for_its_pass_phrase(problems, files, tmp_path):
    _, cert, key = files["a"]
    locked = tmp_path / "locked.key"
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert "pass phrase" in problems(tls(cert_file=cert, key_file=locked))["uplink.tls.key_file"]


def test_files_that_hold_something_else(problems, files):
    ca, _, key = files["a"]
    told = problems(tls(ca_file=key, cert_file=key, key_file=key))
    assert list(told) == ["uplink.tls.ca_file", "uplink.tls.cert_file"]
    assert list(problems(tls(ca_file=ca, cert_file=ca, key_file=ca))) == ["uplink.tls.cert_file"]


@pytest.mark.parametrize("key", ["client_id", "username"])
def test_a_text_that_mqtt_cannot_carry(problems, key):
    assert problems(f'[uplink]\nhost = "broker"\n{key} = "{"x" * 65_535}"\n') == {}
    told = problems(f'[uplink]\nhost = "broker"\n{key} = "{"ö" * 32_768}"\n')
    assert told == {f"uplink.{key}": "this text has 65536 bytes and MQTT takes 65535; give a shorter one"}


def test_a_socket_that_is_there_already_is_no_mistake(problems, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        assert problems('[control]\nsocket = "control.sock"\n') == {}


@pytest.mark.parametrize("host", ["broker", "10.0.0.6", "::1", "fe80::1%eth0", "plc_1.plant.local", "müller"])
def test_hosts(problems, host):
    assert problems(f'[uplink]\nhost = "{host}"\n') == {}


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("broker:1883", 'write host = "broker" and port = 1883'),
        ("mqtts://broker:8883/x", 'write host = "broker" and port = 8883'),
        ("[::1]", 'write host = "::1"'),
        ("[::1]:1883", 'write host = "::1" and port = 1883'),
        (" broker", 'write host = "broker"'),
        ("a b", "alone. Name"),
        ("broker:", "alone. Name"),
    ],
)
def test_a_host_with_more_than_the_host(problems, host, hint):
    assert hint in problems(f'[uplink]\nhost = "{host}"\n')["uplink.host"]

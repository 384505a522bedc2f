"""The plant's command: what is wrong with it is one line, and it is quiet."""

import json
import socket
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "adapters.plant"]


def ended(*arguments, **streams):
    streams = {"stdin": subprocess.DEVNULL, **streams}
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, **streams)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--modbus-port", "99999"),
        ("--opcua-port", "-1"),
        ("--tags", "999999"),
        ("--tags", "x"),
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--seconds", "inf"),
    ],
)
def test_a_wrong_argument(arguments):
    told = ended(*arguments)
    assert told.returncode == 2
    assert told.stderr.splitlines()[-1].startswith(
        f"python -m adapters.plant: error: argument {arguments[0]}: found {arguments[1]}, expected"
    )
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(("option", "server"), [("--opcua-port", "OPC UA"), ("--modbus-port", "Modbus")])
def test_a_taken_port(option, server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = ended(option, str(port))
    assert told.returncode == 1
    assert told.stderr == f"plant: {server} server on 127.0.0.1:{port}: it cannot listen there. Is the port taken?\n"
    assert told.stdout == ""


def test_an_input_that_is_no_pipe_ends_nothing():
    told = ended("--seconds", "0.2")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["modbus_port"] > 0


def test_a_client_that_sends_rubbish_is_no_news():
    with subprocess.Popen(COMMAND, stdin=-1, stdout=-1, stderr=-1) as process:
        port = json.loads(process.stdout.readline())["modbus_port"]
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(bytes.fromhex("000100000006630300000001"))
            client.recv(64)
            client.sendall(b"\x00\x02\x00\x00\x00\x02\x01\x03")
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"", b"")

"""What each command hands on, and what each ending comes to. The texts of mistakes are in test_golden.py."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

import gateway.app
import gateway.demo
from gateway import __version__
from gateway.check import MODELS
from gateway.cli import cli, main
from gateway.config.schema import schema
from gateway.errors import ConfigError, Problem, SpoolError

COMMANDS = {
    "run",
    "check",
    "spool",
    "status",
    "demo",
    "schema",
    "policy",
    "probe",
    "audit",
    "tui",
    "health",
    "pki",
    "browse",
    "module",
}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)
    path = tmp_path / "config.toml"
    path.write_text('[gateway]\nid = "edge-7"\n')
    return path


@pytest.fixture
def gateway_socket(tmp_path):
    """A socket on which each call is answered with a made-up status, as a running gateway would."""
    path = tmp_path / "control.sock"
    body = json.dumps({"gateway": "edge-7", "uplink": {"connected": False}}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join(timeout=30)


def test_every_command_is_there_and_says_what_it_does():
    assert set(cli.commands) == COMMANDS
    for command in cli.commands.values():
        assert command.help
        assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tidegate {__version__}\n"


@pytest.mark.parametrize("args", [["--help"], ["-h"], *([command, "--help"] for command in sorted(COMMANDS))])
def test_help(args, capsys):
    assert main(args) == 0
    assert capsys.readouterr().out.startswith("Usage: tidegate")


def test_check_prints_the_plan(file, capsys):
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out.startswith("Gateway   edge-7\n")


def test_the_file_may_come_from_the_environment(file, monkeypatch, capsys):
    monkeypatch.setenv("TIDEGATE_CONFIG", str(file))
    assert main(["check"]) == 0
    assert capsys.readouterr().out.startswith("Gateway   edge-7\n")


@pytest.mark.parametrize("status", [0, 3])
def test_run_hands_the_configuration_on_and_the_status_back(file, monkeypatch, status):
    ran = []
    monkeypatch.setattr(gateway.app, "run", lambda config, *, file: ran.append(config.gateway.id) or status)
    assert main(["run", str(file)]) == status
    assert ran == ["edge-7"]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (SpoolError("the spool at /data/x.db is in use"), 1, "tidegate: the spool at /data/x.db is in use\n"),
        (
            ConfigError("c.toml", [Problem("a.b", "is odd"), Problem("", "is empty")]),
            2,
            "tidegate: c.toml cannot be used:\n  a.b: is odd\n  is empty\n",
        ),
        (KeyboardInterrupt(), 130, None),
    ],
)
def test_how_a_run_may_end(file, monkeypatch, capsys, error, status, text):
    def run(_config, *, file):
        raise error

    monkeypatch.setattr(gateway.app, "run", run)
    assert main(["run", str(file)]) == status
    told = capsys.readouterr().err
    assert told == text if text is not None else "Traceback" not in told


def test_a_defect_of_ours_is_not_hidden(file, monkeypatch):
    def run(_config, *, file):
        raise RuntimeError("a defect")

    monkeypatch.setattr(gateway.app, "run", run)
    with pytest.raises(RuntimeError):
        main(["run", str(file)])


@pytest.mark.parametrize(
    ("args", "seconds", "as_json", "module"),
    [
        (["demo"], 45, False, None),
        (["demo", "--seconds", "15.5", "--json", "--module", "a.wasm"], 15.5, True, Path("a.wasm")),
    ],
)
def test_demo(monkeypatch, args, seconds, as_json, module):
    asked = []

    def run(*, seconds, as_json, module):
        asked.append((seconds, as_json, module))
        return 4

    monkeypatch.setattr(gateway.demo, "run", run)
    assert main(args) == 4
    assert asked == [(seconds, as_json, module)]


def test_schema(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema(MODELS)


def test_status_as_a_page(gateway_socket, capsys):
    assert main(["status", "--socket", str(gateway_socket)]) == 0
    assert capsys.readouterr().out == "gateway  edge-7\n\nuplink\n  connected  no\n"


def test_status_as_json_by_the_configuration(gateway_socket, file, capsys):
    assert gateway_socket.parent == file.parent
    assert main(["status", "--config", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"gateway": "edge-7", "uplink": {"connected": False}}


def test_a_reader_that_goes_away_is_no_failure_worth_a_traceback():
    command = Path(sys.executable).with_name("tidegate")
    reading = subprocess.Popen([command, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    reading.stdout.close()
    try:
        assert reading.stderr.read() == b""
        assert reading.wait(timeout=60) == 1
    finally:
        reading.stderr.close()
        reading.wait()


@pytest.mark.parametrize("group", ["module", "pki", "policy", "probe", "spool"])
def test_a_group_alone_lists_its_commands(group, capsys):
    assert main([group]) == 2
    listed = capsys.readouterr().err
    assert listed.startswith(f"Usage: tidegate {group}")
    for name, command in cli.commands[group].commands.items():
        assert f"  {name}" in listed, command

"""`tidegate browse` at the simulated plant, and its file of tags used by a gateway's configuration."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.browsing import _Names
from gateway.check import load
from gateway.cli import main
from gateway.demo.broker import free_port


@pytest.fixture(scope="module")
def plant() -> Iterator[str]:
    """The address of the simulated plant's OPC UA server."""
    command = [sys.executable, "-m", "adapters.plant", "--tags", "20"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["opcua"]
        process.terminate()


def rows(text: str) -> list[dict[str, str]]:
    return [*csv.DictReader(text.splitlines())]


def test_a_line_for_each_variable(plant, capsys):
    assert main(["browse", plant, "--include", "*/Press/*"]) == 0
    told = capsys.readouterr()
    assert "Objects/Press/Force  (Double)  ns=2;s=Press.Force\n" in told.out
    assert "Tank" not in told.out
    assert told.err.splitlines()[-1].startswith(f"{len(told.out.splitlines())} variables in ")


def test_a_file_of_tags_is_a_devices_tags(plant, tmp_path, capsys):
    file = tmp_path / "press.csv"
    file.touch()
    file.chmod(0o660)
    assert main(["browse", plant, "--exclude", "Objects/Press", "--uri", "--csv", str(file)]) == 0
    assert file.stat().st_mode & 0o777 == 0o660  # who may change it is for people to say
    told = capsys.readouterr()
    assert told.out == ""
    assert f'written to {file}; give it as tags_file = "{file}"' in told.err
    written = rows(file.read_text())
    assert not any("/Press/" in row["#path"] for row in written)
    assert all(row["node"].startswith("nsu=") for row in written)
    config = tmp_path / "config.toml"
    config.write_text(f'[[devices]]\nname = "press"\ntype = "opcua"\nurl = "{plant}"\ntags_file = "press.csv"\n')
    assert main(["check", str(config)]) == 0
    assert f"{len(written)} tags" in capsys.readouterr().out
    (device,) = load(config).devices
    assert [tag.name for tag in device.tags] == [row["name"] for row in written]
    # The same again, with the log-in of the configuration's device.
    again = tmp_path / "again.csv"
    arguments = ["--config", str(config), "--device", "press", "--exclude", "Objects/Press", "--uri"]
    assert main(["browse", *arguments, "--csv", str(again)]) == 0
    assert again.stat().st_mode & 0o777 == 0o644
    assert again.read_text() == file.read_text()


def test_a_file_of_tags_on_standard_output(plant, capsys):
    assert main(["browse", plant, "--root", "/Objects/2:Press", "--csv", "-"]) == 0
    written = rows(capsys.readouterr().out)
    assert {"name": "Press.Force", "node": "ns=2;s=Press.Force"}.items() <= next(
        row for row in written if row["#path"].endswith("Force")
    ).items()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 2, "which server? Give either URL, or --config FILE and --device NAME"),
        (["opc.tcp://h", "--device", "press"], 2, "which server?"),
        (["--device", "press"], 2, "which server?"),
        (["http://h"], 1, "'http://h' is not the address of an OPC UA server; expected opc.tcp://HOST:PORT"),
    ],
)
def test_what_is_wrong_with_the_words(capsys, arguments, status, says):
    assert main(["browse", *arguments]) == status
    assert says in capsys.readouterr().err


def test_no_server_leaves_the_file_as_it_was(tmp_path, capsys):
    file = tmp_path / "press.csv"
    file.write_text("name,node\n")
    assert main(["browse", f"opc.tcp://127.0.0.1:{free_port()}", "--csv", str(file)]) == 1
    assert "nothing accepts connections there" in capsys.readouterr().err
    assert file.read_text() == "name,node\n"
    assert [*tmp_path.iterdir()] == [file]


def test_a_root_that_is_not_there(plant, capsys):
    assert main(["browse", plant, "--root", "ns=2;s=Nobody"]) == 1
    assert "listing the variables below ns=2;s=Nobody: the server answered BadNodeId" in capsys.readouterr().err


def test_a_folder_that_is_not_there(plant, tmp_path, capsys):
    file = tmp_path / "nowhere" / "press.csv"
    assert main(["browse", plant, "--csv", str(file)]) == 1
    assert f"{file} cannot be written: No such file or directory" in capsys.readouterr().err


def test_a_device_without_a_tree(tmp_path, capsys):
    config = tmp_path / "config.toml"
    config.write_text(
        '[[devices]]\nname = "meter"\ntype = "modbus"\nhost = "127.0.0.1"\n'
        f'port = {free_port()}\ntags = [{{ name = "a", address = 1 }}]\n'
    )
    assert main(["browse", "--config", str(config), "--device", "meter"]) == 1
    assert "there is nothing to browse" in capsys.readouterr().err
    assert main(["browse", "--config", str(config), "--device", "press"]) == 1
    assert f'{config} has no device "press"; it has meter' in capsys.readouterr().err


def test_names_are_given_once_and_fit():
    names = _Names()
    assert [names.of(path) for path in ("Objects/A/B", "Objects/A.B", "Objects/A+#B", "Objects/A+#B", "Objects")] == [
        "A.B",
        "A.B-2",
        "A__B",
        "A__B-2",
        "Objects",
    ]
    long = "Objects/" + "x" * 300
    assert [len(names.of(long)) for _ in range(2)] == [128, 128]

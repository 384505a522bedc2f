import json
import os
from pathlib import Path

import pytest

from gateway.config.models import Config
from gateway.config.reader import read_config, read_draft
from gateway.errors import ConfigError
from tests.gateway.config.bench_model import MODELS, BenchSettings, BenchTag
from tests.gateway.uplink.certificates import Authority

DEVICE = """
[[devices]]
name = "rig"
type = "bench"
host = "10.0.0.1"
[[devices.tags]]
name = "force"
channel = 3
"""


def write(folder: Path, text: str, name: str = "config.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read(path: Path, **env: str) -> Config:
    return read_config(path, models=MODELS, env=env)


def problems(path: Path, **env: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as error:
        read(path, **env)
    assert error.value.source == str(path)
    return {problem.where: problem.what for problem in error.value.problems}


def test_the_case_studys_file_is_an_idle_gateway(tmp_path):
    text = """{
      "database": {"type": "sqlite", "path": "/data/industrial-iot.db"},
      "offline": {"enabled": true, "sync_interval": 300}
    }"""
    config = read(write(tmp_path, text, "config.json"))
    assert config.database.path == "/data/industrial-iot.db"
    assert config.offline.sync_interval == 300
    assert config.uplink is None
    assert config.devices == []


@pytest.mark.parametrize(("text", "name"), [("", "config.toml"), ("{}", "config.json"), ("", "config")])
def test_an_empty_file_has_every_default(tmp_path, text, name):
    config = read(write(tmp_path, text, name))
    assert config == Config(database=type(config.database)(path=str(tmp_path / "tidegate.db")))


def test_toml_and_json_say_the_same(tmp_path):
    import tomllib

    text = DEVICE + '[uplink]\nhost = "broker"\n[[filters]]\nmodule = "scale"\nparams = { factor = 2.5 }\n'
    as_json = json.dumps(tomllib.loads(text))
    assert read(write(tmp_path, text)) == read(write(tmp_path, as_json, "CONFIG.JSON"))


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(b'\xef\xbb\xbf[uplink]\r\nhost = "broker"\r\n')
    assert read(path).uplink.host == "broker"


def test_a_pipe_is_a_file_too(tmp_path):
    reader, writer = os.pipe()
    try:
        os.write(writer, b'[uplink]\nhost = "broker"\n')
        os.close(writer)
        assert read(Path(f"/dev/fd/{reader}")).uplink.host == "broker"
    finally:
        os.close(reader)


def test_each_device_gets_the_model_of_its_protocol(tmp_path):
    (device,) = read(write(tmp_path, DEVICE)).devices
    assert device == BenchSettings(name="rig", host="10.0.0.1", tags=[BenchTag(name="force", channel=3)])


def test_text_from_outside_becomes_number_bool_or_choice(tmp_path):
    text = DEVICE + 'gain = "${GAIN}"\n[uplink]\nhost = "b"\nport = "${PORT}"\nprotocol = "${V}"\n'
    text += '[offline]\nenabled = "${KEEP:-false}"\n[[filters]]\nmodule = "scale"\nparams = { factor = "${GAIN}" }\n'
    config = read(write(tmp_path, text), GAIN="0.5", PORT="8883", V="5")
    assert config.devices[0].tags[0].gain == 0.5
    assert (config.uplink.port, config.uplink.protocol) == (8883, "5")
    assert config.offline.enabled is False
    assert config.filters[0].params == {"factor": 0.5}


def test_where_text_and_number_are_taken_text_stays_text(tmp_path):
    text = DEVICE.replace("channel = 3", 'channel = "${CHANNEL}"')
    assert read(write(tmp_path, text), CHANNEL="3").devices[0].tags[0].channel == "3"


def test_relative_paths_start_from_the_files_folder(tmp_path, monkeypatch):
    folder = tmp_path / "etc"
    folder.mkdir()
    text = '[database]\npath = "spool/x.db"\n[control]\nsocket = "../run/c.sock"\n[wasm]\ncache_dir = "cache"\n'
    text += '[uplink]\nhost = "b"\n[uplink.tls]\nca_file = "ca.pem"\n' + DEVICE.replace("host", 'trust_dir = "t"\nhost')
    text += '[[filters]]\nmodule = "mine.wasm"\n[[filters]]\nmodule = "own/mine"\n[[filters]]\nmodule = "scale"\n'
    write(folder, text)
    Authority(folder).certificate.rename(folder / "ca.pem")
    monkeypatch.chdir(tmp_path)

    config = read(Path("etc/config.toml"))

    assert config.database.path == str(folder / "spool/x.db")
    assert config.socket_path == tmp_path / "run/c.sock"
    assert config.wasm_cache_dir == folder / "cache"
    assert config.uplink.tls.ca_file == str(folder / "ca.pem")
    assert config.devices[0].trust_dir == str(folder / "t")
    assert [one.module for one in config.filters] == [str(folder / "mine.wasm"), str(folder / "own/mine"), "scale"]


def test_defaults_stand_beside_the_database(tmp_path):
    config = read(write(tmp_path, '[database]\npath = "/data/x.db"\n'))
    assert config.socket_path == Path("/data/control.sock")
    assert config.wasm_cache_dir == Path("/data/wasm-cache")


def test_a_mounted_configmaps_links_are_not_followed(tmp_path):
    (tmp_path / "..2025_11_07").mkdir()
    write(tmp_path / "..2025_11_07", "")
    (tmp_path / "..data").symlink_to("..2025_11_07")
    (tmp_path / "config.toml").symlink_to("..data/config.toml")
    assert read(tmp_path / "config.toml").database.path == str(tmp_path / "tidegate.db")


def test_all_problems_are_told_in_the_order_of_the_sections(tmp_path):
    tags = "".join(f'[[devices.tags]]\nname = "t{n}"\nchannel = 9\n' for n in range(10))
    text = DEVICE + tags + '[[devices]]\nname = "rig"\ntype = "bench"\n[[filters]]\n[offline]\nenabled = 1\n'
    text += '[[unknown]]\nx = 1\n[gateway]\nid = "a/b"\n'
    places = list(problems(write(tmp_path, text)))
    assert places == [
        "unknown",
        "gateway.id",
        "offline.enabled",
        "filters[0].module",
        *(f"devices[0].tags[{n}].channel" for n in range(1, 11)),
        "devices[1].host",
        "devices[1].name",
    ]


def test_a_problem_names_the_device_and_the_tag(tmp_path):
    told = problems(write(tmp_path, DEVICE.replace("channel = 3", "channel = 9") + 'gain = "much"\n'))
    assert told["devices[0].tags[0].gain"].endswith('. Gain. (device "rig", tag "force")')
    assert "expected a whole number from 0 to 7 or text. Channel" in told["devices[0].tags[0].channel"]


def test_what_only_msgspec_can_tell_is_told_too(tmp_path):
    text = '[[devices]]\nname = "a"\ntype = "strict"\npair = [1]\n'
    told = problems(write(tmp_path, text))
    assert list(told) == ["devices[0].pair"]
    assert "length 2" in told["devices[0].pair"]


def test_what_is_right_can_be_checked_further(tmp_path):
    text = DEVICE + '[[devices]]\nname = "b"\ntype = "bench"\n[[filters]]\nmodule = "scale"\n[[filters]]\nmodul = "x"\n'
    draft = read_draft(write(tmp_path, text), models=MODELS, env={})
    assert draft.config is None
    assert [(index, device.name) for index, device in draft.devices.items()] == [(0, "rig")]
    assert [(index, one.module) for index, one in draft.filters.items()] == [(0, "scale")]


@pytest.mark.parametrize(
    "text",
    [
        "devices = 1",
        "devices = [1]",
        "devices = [[]]",
        "filters = {}",
        "uplink = []",
        "gateway = 5",
        "devices = [{type = 5}]",
        "devices = [{type = [], name = {}, tags = 1}]",
        'devices = [{type = "bench", tags = [1, {name = 5}, {channel = []}]}]',
        "x = 1979-05-27",
        'database = {path = 07:32:00}\n"" = 1\n"\\u0000" = 2',
    ],
)
def test_any_shape_is_refused_in_words(tmp_path, text):
    for where, what in problems(write(tmp_path, text)).items():
        assert where
        assert what


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"[" * 5000, "deep.json", "nested too deeply"),
        (b"x = " + b"[" * 5000, "deep.toml", "nested too deeply"),
        (b'{"offline": {"replay_rate": ' + b"9" * 5000 + b"}}", "huge.json", "digits"),
        (b"\xff", "bytes.toml", "line 1: the byte 0xFF is not UTF-8"),
        (b"#" * (16 * 1024 * 1024 + 1), "large.toml", "larger than"),
    ],
)
def test_hostile_files_are_refused_in_words(tmp_path, content, name, words):
    path = tmp_path / name
    path.write_bytes(content)
    assert words in problems(path)[""]


def test_half_a_character_is_refused(tmp_path):
    path = write(tmp_path, '{"uplink": {"host": "\\ud800", "\\ud801": 1}}', "config.json")
    told = problems(path)
    assert "is not whole Unicode text" in told["uplink.host"]
    assert "this key is unknown" in told['uplink."\\ud801"']

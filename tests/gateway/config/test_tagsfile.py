"""Tags as a CSV file of their own."""

import csv
import io
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.check import load
from gateway.config.models import Config
from gateway.config.reader import read_config
from gateway.errors import ConfigError
from gateway.reconcile import reconcile
from tests.gateway.config.bench_model import MODELS, BenchTag

HEAD = '[[devices]]\nname = "rig"\ntype = "bench"\nhost = "h"\ntags_file = "tags.csv"\n'
OWN = '[[devices.tags]]\nname = "own"\nchannel = 1\n'


def read(folder: Path, text: str | bytes, more: str = "") -> Config:
    (folder / "tags.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "config.toml").write_text(HEAD + more)
    return read_config(folder / "config.toml", models=MODELS, env={"X": "secret"})


def problems(folder: Path, text: str | bytes, more: str = "") -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(folder, text, more)
    return [str(problem) for problem in error.value.problems]


def test_each_row_is_a_tag_behind_those_of_the_configuration(tmp_path):
    config = read(tmp_path, "name,channel,unit,gain\nforce,3,kN,0.5\nname 2,main,,\n", OWN)
    (device,) = config.devices
    assert device.tags == [
        BenchTag(name="own", channel=1),
        BenchTag(name="force", channel=3, unit="kN", gain=0.5),
        BenchTag(name="name 2", channel="main"),
    ]
    assert device.tags_file == str(tmp_path / "tags.csv")


@pytest.mark.parametrize(
    "text",
    [
        "channel,name\n3,force\n",
        "channel;name\n3;force\n",
        "channel\tname\n3\tforce\n",
        "\ufeffchannel,name\r\n3,force\r\n",
        '"channel","name"\n"3","force"',
        " channel , name \n 3 , force \n\n,\n",
        "channel,#type,name,#\n3,Double,force,a note\n",
        "channel,name\n#,#\n3,force\n4,# speed\n",
    ],
)
def test_however_the_table_is_written(tmp_path, text):
    assert read(tmp_path, text).devices[0].tags == [BenchTag(name="force", channel=3)]


def test_a_number_of_many_digits_is_text_where_text_is_taken(tmp_path):
    (tag,) = read(tmp_path, "name,channel\nforce,40001\n").devices[0].tags
    assert tag.channel == "40001"


def test_what_looks_like_a_variable_is_text(tmp_path):
    (tag,) = read(tmp_path, "name,channel\nforce,${X}\n").devices[0].tags
    assert tag.channel == "${X}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "tags.csv: line 1: the column name is missing"),
        ("channel\n1\n", "tags.csv: line 1: the column name is missing"),
        ("name,chanel\na,1\n", 'line 1: the column "chanel" is no key of a tag; did you mean "channel"?'),
        ("name,channel,name\na,1,b\n", 'line 1: the column "name" stands twice; keep one'),
        ("name,channel\na,1,2\n", "line 2: 3 cells where the first line names 2 columns"),
        (b"name,channel\na,1\nb\xe4,1\n", "line 3: the byte 0xE4 is not UTF-8; save the file as UTF-8"),
        ('name,channel\n"a,1\n', "this is not valid CSV"),
        ("name,channel\na,9\n", "devices[0].tags_file: line 2 of tags.csv, column channel: found 9, expected"),
        ("name,channel\na,\n", "devices[0].tags_file: line 2 of tags.csv, column channel: this key is missing"),
        ("name,gain,channel\n\n\na,x,1\n", 'line 4 of tags.csv, column gain: found "x", expected a number'),
        ("name,channel\nown,1\n", 'line 2 of tags.csv, column name: the name "own" is taken by devices[0].tags[0]'),
        ("name,channel\na,1\na,1\n", 'line 3 of tags.csv, column name: the name "a" is taken by line 2 of tags.csv'),
    ],
)
def test_what_is_wrong_is_told_by_line_and_column(tmp_path, text, says):
    told = problems(tmp_path, text, OWN)
    assert len(told) == 1
    assert says in told[0]
    assert told[0].endswith('(device "rig")')


def test_a_file_that_is_not_there_hides_no_other_mistake(tmp_path):
    (tmp_path / "config.toml").write_text(HEAD.replace('host = "h"', "host = 1") + OWN)
    with pytest.raises(ConfigError) as error:
        read_config(tmp_path / "config.toml", models=MODELS, env={})
    assert [problem.where for problem in error.value.problems] == ["devices[0].host", "devices[0].tags_file"]


def test_a_list_that_must_not_be_empty_may_come_from_the_file_and_must_come(tmp_path):
    assert problems(tmp_path, "name,channel\n")[0].startswith("devices[0].tags: found an empty list")


def test_another_row_is_another_device_and_the_same_rows_are_the_same(tmp_path):
    def plan(text):
        config = read(tmp_path, text)
        return reconcile(before, config, tags=lambda device: [tag.name for tag in device.tags]).restart

    before = read(tmp_path, "name,channel\na,1\nb,2\n")
    assert plan("channel;name;#\r\n1;a;x\r\n2;b;y\r\n") == ()
    assert plan("name,channel\na,1\nb,3\n") == ("rig",)
    assert plan("name,channel\na,1\n") == ("rig",)


def test_modbus_tags_in_a_file(tmp_path):
    (tmp_path / "tags.csv").write_text(
        "name,address,type,scale,bit\nvoltage,100,float32,,\ncurrent,40101,,0.1,\nclosed,0x10,,,3\n"
    )
    (tmp_path / "config.toml").write_text(
        '[[devices]]\nname = "meter"\ntype = "modbus"\nhost = "h"\ntags_file = "tags.csv"\n'
    )
    tags = load(tmp_path / "config.toml").devices[0].tags
    assert [(tag.address, tag.type, tag.scale, tag.bit) for tag in tags] == [
        (100, "float32", None, None),
        ("40101", None, 0.1, None),
        ("0x10", None, None, 3),
    ]


CELLS = st.text(st.sampled_from(string.ascii_letters + string.digits + " .,;\"'|=äöü\n#"), min_size=1, max_size=12)
NAMES = CELLS.map(str.strip).filter(lambda text: text and "#" not in text and "\n" not in text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=5, unique_by=lambda row: row[0]))
def test_what_a_spreadsheet_writes_is_read_back(tmp_path, rows):
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerows([("name", "unit", "channel"), *((name, unit, "0") for name, unit in rows)])
    tags = read(tmp_path, table.getvalue()).devices[0].tags
    assert [(tag.name, tag.unit) for tag in tags] == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=60) | st.text(st.sampled_from('name,channel\n";#\t'), max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_in_words(tmp_path, junk):
    with suppress(ConfigError):
        read(tmp_path, junk, OWN)

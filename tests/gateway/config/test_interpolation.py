import pytest

from gateway.config.interpolation import UNKNOWN, interpolate
from gateway.config.words import FromEnvironment, found
from gateway.errors import Problem

ENV = {"HOST": "broker", "EMPTY": "", "NESTED": "${HOST}", "A1_b": "x", "BROKEN": "\udcff"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("$HOST and $$ and }", "$HOST and $$ and }"),
        ("${HOST}", "broker"),
        ("mqtt.${HOST}.${A1_b}", "mqtt.broker.x"),
        ("${MISSING:-localhost}", "localhost"),
        ("${HOST:-localhost}", "broker"),
        ("${EMPTY:-localhost}", "localhost"),
        ("${EMPTY}", ""),
        ("${MISSING:-}", ""),
        ("${MISSING:-a:-b}", "a:-b"),
        ("$${HOST}", "${HOST}"),
        ("$${HOST} is ${HOST}", "${HOST} is broker"),
        ("$$${HOST}", "$${HOST}"),
        ("${NESTED}", "${HOST}"),
    ],
)
def test_variables_are_put_in(template, text):
    problems = []
    assert interpolate(template, ENV, problems) == text
    assert problems == []


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("${MISSING}", "the environment variable MISSING is not set"),
        ("${HOST", "${ begins a variable"),
        ("${}", "${ begins a variable"),
        ("${1ST}", "${ begins a variable"),
        ("${HO ST}", "${ begins a variable"),
        ("${HOST:default}", "${ begins a variable"),
        ("${BROKEN}", "is not whole Unicode text"),
        ("\ud800", "is not whole Unicode text"),
    ],
)
def test_what_cannot_be_put_in_is_told_once(template, words):
    problems = []
    assert interpolate({"uplink": {"host": template}}, ENV, problems) == {"uplink": {"host": UNKNOWN}}
    assert [problem.where for problem in problems] == ["uplink.host"]
    assert words in problems[0].what


def test_each_missing_variable_has_its_problem_and_its_place():
    problems: list[Problem] = []
    interpolate({"devices": [{"a b": "${X}${Y}"}, 1, None, ["${Z}"]]}, {}, problems)
    assert [problem.where for problem in problems] == ['devices[0]."a b"', 'devices[0]."a b"', "devices[3][0]"]


def test_text_from_outside_is_marked_and_never_shown():
    value = interpolate("${HOST}", ENV, [])
    assert isinstance(value, FromEnvironment)
    assert found(value) == 'the text of "${HOST}"'
    assert type(interpolate("$${HOST}", ENV, [])) is str

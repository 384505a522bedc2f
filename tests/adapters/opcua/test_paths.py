"""Browse paths as text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.opcua.nodes import NodeAddress, uri_text
from adapters.opcua.paths import BrowsePath, Step, parse_path, parse_place


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("/Objects", [Step(0, None, "Objects")]),
        ("/Objects/2:Press/3:Temp", [Step(0, None, "Objects"), Step(2, None, "Press"), Step(3, None, "Temp")]),
        ("/2:Press.Force", [Step(2, None, "Press.Force")]),
        ("/2:a&/b&&c", [Step(2, None, "a/b&c")]),
        ("/0:12:30", [Step(0, None, "12:30")]),
        ("/nsu=http://maker.example/line%3B%25;Press", [Step(0, "http://maker.example/line;%", "Press")]),
    ],
)
def test_a_path_names_each_step(text: str, steps: list[Step]) -> None:
    assert parse_path(text) == parse_place(text) == BrowsePath(tuple(steps))


@pytest.mark.parametrize("text", ["", "/", "Objects", "//Press", "/Objects/", "/2:", "/nsu=urn:x;", "/a&"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="is not a browse path; expected one such as /Objects/2:Press"):
        parse_path(text)


def test_a_namespace_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="at most 65535"):
        parse_path("/70000:x")


def test_what_does_not_begin_with_a_slash_is_a_node_id() -> None:
    assert parse_place("ns=2;s=/a") == NodeAddress(2, None, "/a")


STEPS = st.builds(Step, st.integers(0, 65535), st.none(), st.text(min_size=1)) | st.builds(
    Step, st.just(0), st.text(min_size=1), st.text(min_size=1)
)


def path_text(steps: list[Step]) -> str:
    return "".join("/" + namespace(step) + re.sub("[&/]", r"&\g<0>", step.name) for step in steps)


def namespace(step: Step) -> str:
    if step.uri is not None:
        return f"nsu={uri_text(step.uri)};"
    return f"{step.namespace}:" if step.namespace or re.match("[0-9]{1,5}:|nsu=", step.name) else ""


@given(st.lists(STEPS, min_size=1, max_size=4))
def test_a_path_reads_back_as_it_was_written(steps: list[Step]) -> None:
    assert parse_path(path_text(steps)) == BrowsePath(tuple(steps))

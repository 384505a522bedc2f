from enum import Enum
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, inspect

from gateway.config.keys import NAME_PATTERN, Name, PlantPath
from gateway.config.values import bare, converted, fits, guessed
from gateway.config.words import FromEnvironment


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


TYPES = [
    bool,
    int,
    float,
    str,
    Annotated[int, Meta(ge=0, le=10)],
    Annotated[int, Meta(gt=0, lt=10, multiple_of=3)],
    Annotated[float, Meta(gt=0, le=86_400)],
    Annotated[float, Meta(ge=-1, lt=1)],
    Annotated[str, Meta(min_length=1, max_length=3)],
    Name,
    PlantPath,
    Literal["a", "b"],
    Literal[1, 2],
    Colour,
    type(None),
]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-2, 12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-2, 2),
    st.text(max_size=4),
    st.sampled_from(["a", "b", "red", "site/area", "a\n", "", "x" * 128, "x" * 129]),
    st.just([]),
    st.just({}),
)


@given(st.sampled_from(TYPES), values)
def test_fits_agrees_with_msgspec(kind, value):
    try:
        msgspec.convert(value, kind)
        right = True
    except msgspec.ValidationError:
        right = False
    assert fits(bare(inspect.type_info(kind))[0], value) is right


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2**64, -(2**63) - 1, 10**400])
@pytest.mark.parametrize("kind", [inspect.IntType(), inspect.FloatType()])
def test_no_number_that_the_gateway_cannot_work_with(kind, value):
    assert fits(kind, value) is False


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (inspect.IntType(), "1883", 1883),
        (inspect.IntType(), " -5\n", -5),
        (inspect.IntType(), "1_000", "1_000"),
        (inspect.IntType(), "1.0", "1.0"),
        (inspect.IntType(), "٣", "٣"),
        (inspect.FloatType(), "0.5", 0.5),
        (inspect.FloatType(), "1e3", 1000.0),
        (inspect.FloatType(), "nan", "nan"),
        (inspect.BoolType(), "true", True),
        (inspect.BoolType(), "False", False),
        (inspect.BoolType(), "1", "1"),
        (inspect.StrType(), "1883", "1883"),
        (inspect.LiteralType(("3.1.1", "5")), "5", "5"),
        (inspect.LiteralType((4, 5)), "5", 5),
    ],
)
def test_text_from_outside_becomes_what_the_model_wants(kind, text, value):
    made = converted(kind, FromEnvironment.of(text, "${X}"))
    assert made == value
    assert type(made) is type(value) or made is not value
    assert converted(kind, text) is text


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("0.5", 0.5), ("true", True), ("five", "five"), ("", ""), ("5 V", "5 V")]
)
def test_where_the_model_is_open_text_becomes_what_it_looks_like(text, value):
    made = guessed({"list": [FromEnvironment.of(text, "${X}"), "5"]})
    assert made == {"list": [value, "5"]}
    assert type(made["list"][0]) is type(value)


@given(st.text(min_size=1, max_size=6))
def test_a_name_is_one_level_of_a_topic(name):
    accepted = fits(inspect.StrType(pattern=NAME_PATTERN), name)
    assert accepted is not any(char in "/+#" or ord(char) < 32 or ord(char) == 127 for char in name)

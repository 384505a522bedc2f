import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.globs import matches


@pytest.mark.parametrize(
    ("pattern", "name", "means"),
    [
        ("*", "anything", True),
        ("*", "", True),
        ("temp*", "temperature", True),
        ("temp*", "my-temperature", False),
        ("axis?", "axis1", True),
        ("axis?", "axis10", False),
        ("axis?", "axis", False),
        ("*.speed", "axis.speed", True),
        ("a.c", "abc", False),
        ("array[1]", "array[1]", True),
        ("array[1]", "array1", False),
        ("Press", "press", False),
        ("a*b*c", "a--b--c", True),
    ],
)
def test_a_pattern_means_a_name(pattern, name, means):
    assert matches([pattern], name) is means


def test_any_of_the_patterns_will_do():
    assert matches(["a", "b*"], "bc")
    assert not matches([], "bc")


@given(st.text())
def test_a_name_without_wildcards_means_itself_only(name):
    if "*" not in name and "?" not in name:
        assert matches([name], name)
        assert not matches([name], name + "x")

"""Chains on paper: which tags a filter gets, which points it makes, and what cannot be."""

import pytest

from gateway.batch import Kind
from gateway.config.models import FilterSettings
from gateway.wasm.manifest import Manifest, Output
from gateway.wasm.plan import Step, Tag, plan_chain

TAGS = [Tag("temp", "degC", Kind.F64), Tag("word", "", Kind.U64), Tag("recipe", "", Kind.STR), Tag("any")]
SCALE = Manifest(name="scale", version="1", abi=1, accepts=("i64", "u64", "f64"), gives="f64")
BITS = Manifest(
    name="bits",
    version="1",
    abi=1,
    accepts=("i64", "u64"),
    outputs=tuple(Output(name=f"bit{n}", kind="bool", optional=True) for n in range(8)),
)
WINDOW = Manifest(
    name="window",
    version="1",
    abi=1,
    accepts=("i64", "u64", "f64"),
    outputs=(Output(name="mean", unit="{unit}"), Output(name="rate", unit="{unit}/s"), Output(name="n", kind="u64")),
)


def plan(*filters: tuple[Manifest | None, dict]) -> list[Step]:
    told = [
        (place, FilterSettings(module=manifest.name if manifest else "gone.wasm", **settings), manifest)
        for place, (manifest, settings) in enumerate(filters)
    ]
    return plan_chain(told, device="press", tags=TAGS)


def test_a_filter_gets_the_tags_that_it_can_work_on() -> None:
    (step,) = plan((SCALE, {}))
    assert step.tags == ("temp", "word", "any")
    assert step.mistakes == ()
    (unread,) = plan((None, {}))
    assert (unread.name, unread.tags) == ("gone", ("temp", "word", "recipe", "any"))


def test_it_makes_points_with_names_units_and_kinds() -> None:
    (step,) = plan((WINDOW, {"tags": ["temp", "any"]}))
    assert [tuple(one) for one in step.derived] == [
        ("temp.mean", "temp", 0, "degC", Kind.F64),
        ("temp.rate", "temp", 1, "degC/s", Kind.F64),
        ("temp.n", "temp", 2, "", Kind.U64),
        ("any.mean", "any", 0, "", Kind.F64),
        ("any.rate", "any", 1, "", Kind.F64),
        ("any.n", "any", 2, "", Kind.U64),
    ]
    (named,) = plan((WINDOW, {"tags": ["temp"], "outputs": {"rate": "rise"}}))
    assert [one.tag for one in named.derived] == ["temp.rise"]


def test_later_filters_see_what_earlier_ones_made_and_no_filter_sees_its_own() -> None:
    window, deadband = plan((WINDOW, {"tags": ["temp*"]}), (SCALE, {"tags": ["*.mean"]}))
    assert window.tags == ("temp",)
    assert deadband.tags == ("temp.mean",)
    assert plan((SCALE, {"tags": ["*.mean"]}), (WINDOW, {"tags": ["temp"]}))[0].place == 1


def test_other_devices_are_not_touched() -> None:
    assert plan((SCALE, {"devices": ["oven"]})) == []


@pytest.mark.parametrize(
    ("filters", "below", "words"),
    [
        ([(SCALE, {"tags": ["temp", "recipe"]})], "tags[1]", 'tag "recipe" is str at this place'),
        ([(SCALE, {}), (BITS, {"tags": ["word"], "outputs": {"bit0": "on"}})], "tags[0]", "works on i64, u64"),
        (
            [(BITS, {"tags": ["word"]})],
            "outputs",
            "names nothing that bits is to make; it has bit0, bit1, bit2, bit3 to",
        ),
        ([(BITS, {"tags": ["word"], "outputs": {"bit0": "a", "bit1": "a"}})], "outputs", 'a second tag "word.a"'),
        ([(WINDOW, {"tags": ["temp"]}), (WINDOW, {"tags": ["temp"]})], "outputs", 'a second tag "temp.mean"'),
    ],
)
def test_what_cannot_be_is_told(filters, below, words) -> None:
    mistakes = plan(*filters)[-1].mistakes
    assert mistakes[0].below == below
    assert words in mistakes[0].what


def test_a_tag_of_any_kind_may_be_what_is_wanted_until_a_filter_settles_it() -> None:
    bits = (BITS, {"tags": ["any"], "outputs": {"bit0": "on"}})
    assert plan(bits)[0].mistakes == ()
    mistake = plan((SCALE, {}), bits)[-1].mistakes[0]
    assert mistake.what == 'tag "any" is bool, bytes, f64, str at this place of the chain, and bits works on i64, u64'

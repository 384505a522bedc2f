"""A document changes only where it was meant to."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.document import DocumentError, read, same

EXAMPLE = (Path(__file__).parents[2] / "config" / "example.toml").read_text()

names = st.text("abcdefg", min_size=1, max_size=3)
scalars = st.one_of(
    st.integers(-9, 9), st.booleans(), st.sampled_from([0.1, 2.0, 1e9]), st.text('aé温 #"\\\n', max_size=4)
)
tags = st.lists(
    st.fixed_dictionaries({"name": names}, optional={"node": scalars, "scale": scalars}),
    max_size=3,
    unique_by=lambda tag: tag["name"],
)
devices = st.lists(
    st.fixed_dictionaries({"name": names}, optional={"host": scalars, "port": scalars, "tags": tags}),
    max_size=3,
    unique_by=lambda device: device["name"],
)
filters = st.lists(
    st.fixed_dictionaries({"module": names}, optional={"params": st.dictionaries(names, scalars, max_size=2)}),
    max_size=2,
)
uplinks = st.fixed_dictionaries(
    {}, optional={"host": scalars, "port": scalars, "tls": st.fixed_dictionaries({}, optional={"verify": scalars})}
)
trees = st.fixed_dictionaries(
    {}, optional={"gateway": st.dictionaries(names, scalars), "uplink": uplinks, "filters": filters, "devices": devices}
)


def written(tree, *, comments=True):
    """The tree as a person might write it, with a paragraph and a touching comment above each header."""
    count = iter(range(10_000))

    def lines(section, header):
        if comments:
            yield f"# paragraph {next(count)}"
            yield ""
            yield f"# touches {next(count)}"
        yield header
        inner = []
        for key, value in section.items():
            if key == "tags" and value:
                inner += [line for tag in value for line in lines(tag, "[[devices.tags]]")]
            elif key == "tls":
                inner += lines(value, "[uplink.tls]")
            elif isinstance(value, dict):
                pairs = ", ".join(f"{name} = {json.dumps(item, ensure_ascii=False)}" for name, item in value.items())
                yield f"{key} = {{ {pairs} }}" if pairs else f"{key} = {{}}"
            else:
                yield f"{key} = {json.dumps(value, ensure_ascii=False)}   # beside {next(count)}"
        if comments:
            yield f"# below {next(count)}"
            yield ""
        yield from inner

    text = []
    for name, section in tree.items():
        for part in section if isinstance(section, list) else [section]:
            text += lines(part, f"[[{name}]]" if isinstance(section, list) else f"[{name}]")
    return "\n".join(text) + "\n"


@settings(max_examples=200, deadline=None)
@given(trees, trees)
def test_any_tree_becomes_any_other(before, after):
    for text in (written(before), written(before, comments=False)):
        document = read(text, is_json=False)
        start = document.tree
        document.put(after)
        assert same(tomllib.loads(document.text), after)
        document.put(start)
        assert same(tomllib.loads(document.text), start)


@settings(max_examples=200, deadline=None)
@given(trees, trees)
def test_a_paragraph_is_never_lost(before, after):
    text = written(before)
    document = read(text, is_json=False)
    document.put(after)
    paragraphs = {line for line in text.splitlines() if line.startswith("# paragraph")}
    assert paragraphs <= set(document.text.splitlines())


@settings(max_examples=200, deadline=None)
@given(trees, st.data())
def test_what_is_untouched_keeps_every_comment(tree, data):
    text = written(tree)
    if not tree.get("devices"):
        return
    document = read(text, is_json=False)
    after = document.tree
    gone = data.draw(st.integers(0, len(after["devices"]) - 1))
    name = after["devices"][gone]["name"]
    del after["devices"][gone]
    after.setdefault("gateway", {})["zz"] = 1
    document.put(after)
    own = written({"devices": [tree["devices"][gone]]}).count("#") - 1
    assert document.text.count("#") >= text.count("#") - own, name


@settings(max_examples=100, deadline=None)
@given(trees, trees)
def test_json_becomes_any_other(before, after):
    text = json.dumps(before, indent=4, ensure_ascii=False) + "\n"
    document = read(text, is_json=True)
    assert document.text == text
    document.put(after)
    assert same(json.loads(document.text), after)


def test_a_key_is_added_below_its_own_section_and_a_device_behind_the_others():
    document = read(EXAMPLE, is_json=False)
    assert document.text == EXAMPLE
    tree = document.tree
    tree["uplink"]["port"] = 1884
    tree["devices"][0]["tags"].append({"name": "force", "node": "ns=2;s=Press.Force"})
    tree["devices"].append({"name": "tank", "type": "modbus", "host": "h", "tags": [{"name": "level", "address": 0}]})
    document.put(tree)
    assert tomllib.loads(document.text) == tree
    lines = document.text.splitlines()
    assert [line for line in EXAMPLE.splitlines() if line not in lines] == []
    new = [place for place, line in enumerate(lines) if line == "port = 1884"]
    assert lines[new[0] - 1] == "# max_live_readings = 100_000"
    assert lines[lines.index('node = "ns=2;s=Press.Force"') - 3] == ""
    assert lines.index('name = "tank"') < lines.index('module = "scale"')


def test_a_removed_device_takes_its_own_comment_and_leaves_the_chapters():
    document = read(EXAMPLE, is_json=False)
    tree = document.tree
    del tree["devices"]
    del tree["filters"]
    document.put(tree)
    assert tomllib.loads(document.text) == tree
    for chapter in ("# ---- Devices -", "# ---- Filters:", "# ---- JSON lines"):
        assert chapter in document.text
    assert "temperature" not in document.text


def test_a_comment_beside_a_changed_value_stays():
    document = read(EXAMPLE, is_json=False)
    tree = document.tree
    tree["devices"][0]["name"] = "press-2"
    document.put(tree)
    assert 'name = "press-2"                              # unique in the file; no /, + or #' in document.text


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {"uplink": {"host": "h", "tls": {"verify": False}}}),
        ("uplink.host = 'a'\n", {"uplink": {"host": "b"}}),
        (
            "[uplink]\nhost = 'a'\n[wasm]\nbatch_ms = 1\n[uplink.tls]\nverify = true\n",
            {"uplink": {"host": "b", "tls": {"verify": False}}, "wasm": {"batch_ms": 1}},
        ),
        (
            "devices = [{name = 'a', tags = [{name = 't'}]}]\n",
            {
                "devices": [
                    {"name": "a", "tags": [{"name": "t", "unit": "V"}, {"name": "u"}]},
                    {"name": "b", "tags": []},
                ]
            },
        ),
        (
            "[[devices]]\nname = 'a'\ntags = [\n  {name = 't'}, # one\n  {name = 'u'}, # two\n]\n",
            {"devices": [{"name": "a", "tags": [{"name": "t"}]}]},
        ),
        ("[[devices]]\nname = 'a'\n[[devices.tags]]\nname = 't'\n", {"devices": [{"name": "a", "tags": []}]}),
        ("[[devices]]\nname = 'a'\ntags = []\n", {"devices": [{"name": "a", "tags": [{"name": "t"}]}]}),
        ("no_end = 1", {"no_end": 1, "gateway": {"id": "x"}}),
        ("[gateway]\r\nid = 'x'\r\n", {"gateway": {"id": "y", "path": "a/b"}}),
    ],
)
def test_spellings(text, tree):
    document = read(text, is_json=False)
    assert document.text == text
    document.put(tree)
    assert same(tomllib.loads(document.text), tree)


@pytest.mark.parametrize(("text", "is_json"), [("[a", False), ("{", True), ("[1]", True), ("a = 1\na = 2", False)])
def test_broken_texts_are_told(text, is_json):
    with pytest.raises(DocumentError):
        read(text, is_json=is_json)

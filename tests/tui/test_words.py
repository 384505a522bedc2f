"""The catalogues: complete, equal in their keys, and the only place of text for people."""

import ast
import re
import string
from pathlib import Path

import pytest

from tui.cells import width
from tui.i18n import CATALOGUES, LANGUAGES, Words, language_of

TUI = Path(__file__).parents[2] / "tui"
SOURCES = [path for path in sorted(TUI.rglob("*.py")) if "i18n" not in path.parts]
FAMILIES = (
    "state",
    "quality",
    "change",
    "protocol",
    "tls",
    "transport",
    "parity",
    "view",
    "flow",
    "field",
    "help",
    "age",
)
"""Keys whose second half comes from data."""
TWO_WORDS = re.compile(r"[A-Za-z]{2,} [A-Za-z]{2,}")


def constants(path):
    """String constants that are neither docstrings nor style sheets."""
    tree = ast.parse(path.read_text())
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any("CSS" in getattr(target, "id", "") for target in targets):
                skipped |= {id(inner) for inner in ast.walk(node)}
        # What a developer reads, and what goes to the control socket's errors, is English.
        if isinstance(node, ast.Assert | ast.Raise):
            skipped |= {id(inner) for inner in ast.walk(node)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped
    ]


def placeholders(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_both_languages_have_the_same_keys_in_the_same_order():
    assert [*CATALOGUES["en"]] == [*CATALOGUES["zh"]]


@pytest.mark.parametrize("key", CATALOGUES["en"])
def test_both_languages_fill_in_the_same(key):
    assert placeholders(CATALOGUES["en"][key]) == placeholders(CATALOGUES["zh"][key])
    assert CATALOGUES["zh"][key].strip()


def test_every_key_that_the_code_names_is_there_and_every_key_is_named():
    catalogue = CATALOGUES["en"]
    heads = {key.partition(".")[0] for key in catalogue}
    looks_like_a_key = re.compile(rf"({'|'.join(sorted(heads))})(\.[a-z_]+)+")
    named = {text for path in SOURCES for text in constants(path) if looks_like_a_key.fullmatch(text)}
    change_kinds = {text for text in named if f"change.{text}" in catalogue}
    assert named - change_kinds - set(catalogue) <= {"key.added", "key.changed", "key.removed"}
    unused = {key for key in catalogue if key not in named and key.partition(".")[0] not in FAMILIES}
    assert unused - {"needs_gateway"} == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(TUI)))
def test_no_text_for_people_stands_in_the_code(path):
    texts = [text for text in constants(path) if TWO_WORDS.search(text) and text not in CATALOGUES["en"]]
    allowed = {"no broker is configured", "not connected", "next attempt in"}
    assert [text for text in texts if text not in allowed] == [], "put it into both catalogues"


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_fit_their_column(language):
    for key, text in CATALOGUES[language].items():
        if key.startswith("field."):
            assert width(text) <= 15, key
        if key.startswith("flow.") and "{" not in text and key != "flow.unknown":
            assert width(text) <= 10, key


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_ALL": "zh_TW", "LANG": "en_GB"}, "zh"),
        ({"LC_ALL": "", "LANG": "zh_CN"}, "zh"),
        ({"LANG": "C"}, "en"),
    ],
)
def test_the_environment_chooses_the_language(environment, language):
    assert language_of(environment) == language


def test_words_that_a_newer_gateway_says_are_shown_as_they_are():
    words = Words("zh")
    assert words.known("state", "up") == "正常"
    assert words.known("state", "hibernating") == "hibernating"

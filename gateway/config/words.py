"""Plain words for values and types: what was found, what was expected.

A value that came from the environment is named by its variable and never repeated: it may be a secret.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from msgspec import inspect

__all__ = [
    "FromEnvironment",
    "Written",
    "alternatives",
    "did_you_mean",
    "expected",
    "found",
    "hide_credentials",
    "many",
]

_LONGEST = 60
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


class Written(str):
    """Text that becomes a number or a truth value where one is wanted: it comes from where all is text."""

    __slots__ = ()


class FromEnvironment(Written):
    """Text into which the environment's values were put. `template` is what the file says."""

    __slots__ = ("template",)
    template: str

    @classmethod
    def of(cls, text: str, template: str) -> FromEnvironment:
        """Text that was made from this template."""
        made = cls(text)
        made.template = template
        return made


def hide_credentials(text: str) -> str:
    """The text, with what stands between :// and @ in its URLs hidden."""
    return _CREDENTIALS.sub("***@", text)


def found(value: object) -> str:
    """A value in words, short enough for one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, FromEnvironment):
        return f"the text of {_quoted(value.template)}"
    if isinstance(value, str):
        return _quoted(hide_credentials(value))
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, dt.date | dt.time):
        return "a date or time"
    return _number(value) if isinstance(value, int | float) else type(value).__name__


def _quoted(text: str) -> str:
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return json.dumps(shown.encode(errors="replace").decode(), ensure_ascii=False)


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def alternatives(values: Iterable[str], *, word: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`; each value once."""
    texts = list(dict.fromkeys(values))
    return f" {word} ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def many(count: int, what: str) -> str:
    """`1 tag`, `2 tags`, for words whose plural ends in s."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """`; did you mean "port"?` where a known name is close to this one, else nothing."""
    close = get_close_matches(name.lower(), known, n=1)
    return f"; did you mean {_quoted(close[0])}?" if close else ""


def expected(kind: inspect.Type, rule: str | None = None) -> str:
    """What a type accepts, in words.

    Args:
        kind: the type, as msgspec describes it.
        rule: the words that stand for a text's pattern, where the model has them.
    """
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            return expected(inner, (extra or {}).get("rule", rule))
        case inspect.UnionType(types=members):
            return alternatives(
                expected(member, rule) for member in members if not isinstance(member, inspect.NoneType)
            )
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            return ("a whole number" if isinstance(kind, inspect.IntType) else "a number") + _range(kind)
        case inspect.StrType():
            return _text(kind, rule)
        case inspect.LiteralType(values=values):
            return alternatives(found(value) for value in values)
        case inspect.EnumType(cls=cls):
            return alternatives(found(member.value) for member in cls)
        case inspect.CollectionType(min_length=least):
            return "a list that is not empty" if least else "a list"
        case inspect.StructType() | inspect.DictType():
            return "a section of keys"
        case _:
            return "another kind of value"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {_number(kind.ge)} to {_number(kind.le)}"
    limits = [
        f"{word} {_number(limit)}"
        for word, limit in (("at least", kind.ge), ("above", kind.gt), ("at most", kind.le), ("below", kind.lt))
        if limit is not None
    ]
    return f", {' and '.join(limits)}" if limits else ""


def _text(kind: inspect.StrType, rule: str | None) -> str:
    if rule is not None:
        words = rule
    elif kind.pattern is not None:
        words = f"text of the form {kind.pattern}"
    else:
        words = "text"
    if kind.max_length is not None:
        return f"{words} (at most {kind.max_length} characters)"
    return f"{words} that is not empty" if kind.min_length and rule is None else words

"""Between what stands in a form and what stands in the file.

A form judges nothing: what is no number stays text, and the check says what is wrong with it and where.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["address", "assign", "free_name", "names", "names_text", "number", "text"]

_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_REFERENCE: Final = re.compile(r"[0134][0-9]{4,5}", re.ASCII)
"""What a manual prints, such as 40001: its first digit names the registers."""


def text(value: object) -> str:
    """A file's value as it stands in a form."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def number(typed: str) -> int | float | str | None:
    """A number; the text itself where it is none, None where nothing was typed."""
    if not typed:
        return None
    if _INTEGER.fullmatch(typed):
        return int(typed)
    try:
        return float(typed)
    except ValueError:
        return typed


def address(typed: str, before: object = None) -> int | str | None:
    """A Modbus address: five and six digits are a manual's reference, which is text in the file.

    Args:
        typed: what stands in the form.
        before: what stood in the file; kept where it was not changed.
    """
    if typed == text(before):
        return before if isinstance(before, int | str) else None
    if not typed:
        return None
    return int(typed) if _INTEGER.fullmatch(typed) and not _REFERENCE.fullmatch(typed) else typed


def assign(section: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The section with these values; None takes a key out. Numbers that mean the same keep their spelling."""
    result = dict(section)
    for key, value in values.items():
        if value is None or value == "":
            result.pop(key, None)
        elif key not in result or result[key] != value or isinstance(result[key], bool) != isinstance(value, bool):
            result[key] = value
    return result


def names_text(value: object) -> str:
    """A list of names as it stands in a form; what is no list as it is."""
    return ", ".join(map(text, value)) if isinstance(value, list) else text(value)


def names(typed: str) -> list[str] | None:
    """The names in a form, parted by commas; None where nothing was typed."""
    return [name for part in typed.split(",") if (name := part.strip())] or None


def free_name(wanted: str, taken: set[str]) -> str:
    """The name wanted, made fit for a topic, with a number behind it where it is taken."""
    base = re.sub(r"[/+#\x00-\x1f\x7f]+", "-", wanted).strip() or "tag"
    if base not in taken:
        return base
    return next(name for count in range(2, len(taken) + 3) if (name := f"{base}-{count}") not in taken)

"""Puts the environment's values into the file's strings: `${NAME}` and `${NAME:-default}`.

As in a shell, the default also stands in for a variable that is empty. `$${` is a literal `${`. Only values are
looked at, never keys, and a value is looked at once: what a variable brings in is not expanded again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.config import keypath
from gateway.config.words import FromEnvironment, found
from gateway.errors import Problem

__all__ = ["UNKNOWN", "interpolate"]

UNKNOWN: Final = object()
"""Stands where a value could not be made. Its problem is already told, so nothing else is said of it."""

_TOKEN = re.compile(
    r"(?P<literal>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<has_default>:-(?P<default>[^}]*))?\}|(?P<broken>\$\{)"
)


def interpolate(value: object, env: Mapping[str, str], problems: list[Problem], where: str = "") -> object:
    """The value with the variables in all its strings replaced.

    Args:
        value: a tree of plain values.
        env: the variables.
        problems: is given a problem for each variable that is not set and has no default.
        where: key path of the value.

    Returns:
        A new tree. Text that has a variable in it is `FromEnvironment`; what could not be made is `UNKNOWN`.
    """
    if isinstance(value, dict):
        return {name: interpolate(inner, env, problems, keypath.key(where, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [interpolate(inner, env, problems, keypath.item(where, index)) for index, inner in enumerate(value)]
    if not isinstance(value, str):
        return value
    return _text(value, env, problems, where)


def _text(template: str, env: Mapping[str, str], problems: list[Problem], where: str) -> object:
    mistakes: list[str] = []
    used = False

    def replace(token: re.Match[str]) -> str:
        nonlocal used
        if token["literal"]:
            return "${"
        if token["broken"]:
            mistakes.append("${ begins a variable, as in ${NAME} or ${NAME:-default}; write $${ for a literal ${")
            return ""
        used = True
        value = env.get(token["name"])
        if token["has_default"]:
            return value or token["default"]
        if value is None:
            mistakes.append(
                f"the environment variable {token['name']} is not set; set it, or write ${{{token['name']}:-default}}"
            )
        return value or ""

    text = _TOKEN.sub(replace, template)
    if not mistakes and not _is_unicode(text):
        mistakes.append(
            f"{found(template)} is not whole Unicode text (half of a surrogate pair, or a variable not in UTF-8)"
        )
    problems.extend(Problem(where, mistake) for mistake in mistakes)
    if mistakes:
        return UNKNOWN
    return FromEnvironment.of(text, template) if used else text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

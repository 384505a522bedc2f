"""`tidegate policy eval`: one question to a policy, put together from the words of a command line."""

from __future__ import annotations

import json

from gateway.policy.contract import Decision, Request, document

__all__ = ["answer_text", "value_of"]


def value_of(text: str) -> bool | int | float | str:
    """The value that a word means: a JSON number, boolean or text where it is one, else the word itself."""
    try:
        value = json.loads(text, parse_constant=lambda _name: None)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def answer_text(request: Request, decision: Decision) -> str:
    """The answer, and the input document that it was given to."""
    shown = json.dumps(document(request), ensure_ascii=False)
    return f"{'allowed' if decision.allowed else 'denied'}: {decision.reason}\ninput: {shown}"

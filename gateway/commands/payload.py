"""Reads the payload of a command. Pure, strict, and the first thing that foreign bytes meet.

    {"id": "a1", "value": 5, "expires": 1763900000000, "user": {"name": "Anna", "role": "operator"}}

`expires` (ms since 1970) and `user` may be missing. Any other key, type or size is a mistake.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gateway.errors import TidegateError
from gateway.policy import User

__all__ = ["MAX_PAYLOAD_BYTES", "BadCommand", "Command", "CommandValue", "parse"]

MAX_PAYLOAD_BYTES: Final = 4096
_MAX_TEXT: Final = 1024
_LEAST_INT: Final = -(2**63)
_MOST_INT: Final = 2**64 - 1
_LARGEST_MS: Final = 2**53

CommandValue: TypeAlias = bool | int | float | str

_ID_PATTERN: Final = r"^[\x21-\x7e]{1,64}(?!\n)$"
_Name = Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")]


class _User(Struct, forbid_unknown_fields=True, frozen=True):
    name: _Name = ""
    role: _Name = ""


class _Payload(Struct, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern=_ID_PATTERN)]
    value: CommandValue
    expires: int | float | None = None
    user: _User = _User()


class _OnlyId(Struct):
    id: str


_KEYS: Final = {
    "id": "be a text of 1 to 64 visible ASCII characters, without spaces",
    "value": "be a number, a text, true or false",
    "expires": "be milliseconds since 1970",
    "user": 'look like {"name":"Anna","role":"operator"}',
}
_EXAMPLE: Final = '{"id":"a1","value":5}'
_PLACE: Final = re.compile(rf" - at `\$\.(?P<key>{'|'.join(_KEYS)})\b")
_NAMED: Final = re.compile(r"(?:(?P<missing>missing required)|unknown) field `(?P<key>[^`]*)`$")

_DECODER: Final = msgspec.json.Decoder(_Payload)
_ID_DECODER: Final = msgspec.json.Decoder(_OnlyId)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        id: the sender's name for it: 1 to 64 visible ASCII characters.
        value: what to write.
        expires_ms: after this it is not to be carried out, ms since 1970; None where the sender did not say.
        user: who asks, as the sender says.
    """

    id: str
    value: CommandValue
    expires_ms: float | None
    user: User

    @property
    def value_json(self) -> str:
        """The value as it stands in the audit."""
        return msgspec.json.encode(self.value).decode()


class BadCommand(TidegateError):
    """A payload that is no command. Carries its id where that could be read, so that it can be answered."""

    def __init__(self, why: str, command_id: str | None) -> None:
        super().__init__(f"this is no command: {why}")
        self.command_id = command_id


def parse(payload: bytes) -> Command:
    """The command in a payload.

    Raises:
        BadCommand: there is none.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BadCommand(f"its payload has {len(payload)} bytes and {MAX_PAYLOAD_BYTES} are allowed", None)
    try:
        read = _DECODER.decode(payload)
    except msgspec.ValidationError as error:
        raise BadCommand(_mistake(str(error)), _id_in(payload)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCommand(f"its payload cannot be read as JSON: {error}", _id_in(payload)) from None
    why = _value_mistake(read.value) or _expiry_mistake(read.expires)
    if why:
        raise BadCommand(why, read.id)
    user = User(name=read.user.name, role=read.user.role)
    return Command(id=read.id, value=read.value, expires_ms=read.expires, user=user)


def _id_in(payload: bytes) -> str | None:
    try:
        found = _ID_DECODER.decode(payload).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if re.fullmatch(_ID_PATTERN, found) else None


def _mistake(text: str) -> str:
    """What is wrong, for who sends commands; msgspec speaks to who wrote the models."""
    if place := _PLACE.search(text):
        key = place["key"]
        return f'"{key}" must {_KEYS[key]}'
    if name := _NAMED.search(text):
        if name["missing"]:
            return f'"{name["key"]}" is missing; it must {_KEYS[name["key"]]}'
        return f'"{name["key"]}" is no key of a command; it has {", ".join(_KEYS)}'
    return f"a command looks like {_EXAMPLE}"


def _value_mistake(value: CommandValue) -> str | None:
    if isinstance(value, str):
        if len(value) > _MAX_TEXT:
            return f"its value has {len(value)} characters and {_MAX_TEXT} are allowed"
        return "its value holds a NUL character" if "\0" in value else None
    if isinstance(value, float):
        return None if math.isfinite(value) else "its value is not a finite number"
    return None if _LEAST_INT <= value <= _MOST_INT else "its value needs more than 64 bits"


def _expiry_mistake(expires_ms: float | None) -> str | None:
    if expires_ms is None or 0 <= expires_ms <= _LARGEST_MS:
        return None
    return "expires must be milliseconds since 1970"

"""Walks a tree of plain values along the models and tells every mistake, each with its key path.

msgspec stops at the first mistake and speaks to programmers; this walk goes on and speaks to the file's author. It
does not replace msgspec: what it lets pass is still converted by msgspec, which has the last word on types that are
unknown here. It also puts values into their final form: text from the environment becomes the number or bool that the
model wants, secrets are read from their files, and local paths become absolute.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import NODEFAULT, inspect

from gateway.config import keypath
from gateway.config.interpolation import UNKNOWN
from gateway.config.keys import is_secret
from gateway.config.models import DeviceSettings
from gateway.config.secrets import file_key, with_secrets
from gateway.config.values import bare, converted, fits, guessed
from gateway.config.words import FromEnvironment, alternatives, did_you_mean, expected, found
from gateway.errors import Problem

__all__ = ["Walk"]


class Walk:
    """One walk over one file.

    Args:
        models: the device model of each protocol.
        base: folder that relative paths start from.
        problems: is given each mistake, in the order of the walk.
    """

    def __init__(self, *, models: Mapping[str, type[DeviceSettings]], base: Path, problems: list[Problem]) -> None:
        self._models = models
        self._base = base
        self._problems = problems

    def section(self, model: type, raw: Mapping[str, Any], where: str = "") -> dict[str, Any]:
        """The section in its final form; complete and right where no problem was added."""
        shape = _described(model)
        names = shape.names
        filled: Mapping[str, Any] = raw
        if shape.has_secrets:
            filled = with_secrets(raw, names, where=where, base=self._base, problems=self._problems)
        for name in filled:
            if name not in names:
                known = [*names, *(file_key(name) for name in names if is_secret(name))]
                hint = did_you_mean(name, known) or f"; this section has {alternatives(sorted(known), word='and')}"
                self._tell(keypath.key(where, name), f"this key is unknown{hint}")
        final: dict[str, Any] = {}
        for key in shape.keys:
            field, name = key.field, key.name
            if name in filled:
                place = keypath.key(where, name)
                value = self._value(field.type, filled[name], place, secret=key.is_secret)
                final[name] = self._located(key, value) if key.mark else value
            elif field.required:
                what = f"this key is missing, expected {expected(field.type)}{_description(field.type)}"
                self._tell(keypath.key(where, name), what)
            elif key.has_made_default:
                self._default(key, keypath.key(where, name), final)
        return final

    def _default(self, key: _Key, where: str, final: dict[str, Any]) -> None:
        """Fills in what a default holds that depends on the file's folder."""
        field = key.field
        if isinstance(field.default_factory, type) and isinstance(field.type, inspect.StructType):
            final[key.name] = self.section(field.type.cls, {}, where)
        elif field.default is not NODEFAULT and field.default is not None:
            value = self._located(key, field.default)
            if value is not field.default:
                final[key.name] = value

    def _located(self, key: _Key, value: object) -> object:
        """The value, made absolute where the key is a path on this machine."""
        if not isinstance(value, str) or not value:
            return value
        if key.mark == "file" or (key.mark == "module" and ("/" in value or value.endswith(".wasm"))):
            # Not resolve(): a link on the way, as in a mounted ConfigMap, is to stay one.
            return os.path.abspath(self._base / value)  # noqa: PTH100
        return value

    def _value(self, kind: inspect.Type, raw: object, where: str, *, secret: bool = False) -> object:
        """The value in its final form; tells why where it does not fit."""
        if raw is UNKNOWN:
            return raw
        inner, _, _ = bare(kind)
        match inner:
            case inspect.UnionType(types=members):
                return self._union(kind, members, raw, where, secret=secret)
            case inspect.StructType(cls=cls) if isinstance(raw, dict):
                return self.device(raw, where) if cls is DeviceSettings else self.section(cls, raw, where)
            case inspect.ListType(item_type=item_type) if isinstance(raw, list):
                if inner.min_length and len(raw) < inner.min_length:
                    self._refuse(kind, raw, where, secret=secret)
                return [self._value(item_type, item, keypath.item(where, index)) for index, item in enumerate(raw)]
            case inspect.DictType(value_type=value_type) if isinstance(raw, dict):
                return {name: self._value(value_type, item, keypath.key(where, name)) for name, item in raw.items()}
            case inspect.AnyType():
                return guessed(raw)
        value = converted(inner, raw)
        if fits(inner, value) is False:
            self._refuse(kind, raw, where, secret=secret)
        return value

    def _union(
        self, kind: inspect.Type, members: Sequence[inspect.Type], raw: object, where: str, *, secret: bool
    ) -> object:
        some = [member for member in members if not isinstance(member, inspect.NoneType)]
        if raw is None and len(some) < len(members):
            return None
        if len(some) == 1:
            described = inspect.Metadata(some[0], getattr(kind, "extra_json_schema", None), None)
            return self._value(described, raw, where, secret=secret)
        verdicts = []
        # Text first: what stands in quotes is text where the model takes text, whatever it looks like.
        for member in sorted(some, key=lambda one: not isinstance(bare(one)[0], inspect.StrType)):
            value = converted(bare(member)[0], raw)
            verdicts.append(fits(bare(member)[0], value))
            if verdicts[-1]:
                return value
        if not any(verdict is None for verdict in verdicts):
            self._refuse(kind, raw, where, secret=secret)
        return raw

    def device(self, raw: Mapping[str, Any], where: str) -> dict[str, Any]:
        """One device, along the model of its protocol."""
        place = keypath.key(where, "type")
        protocol = raw.get("type")
        speaks = alternatives(found(name) for name in self._models)
        if protocol is None:
            self._tell(place, f"this key is missing, expected {speaks}: the device's protocol")
        elif protocol is not UNKNOWN:
            if isinstance(protocol, str) and protocol in self._models:
                return self.section(self._models[str(protocol)], raw, where)
            hint = did_you_mean(protocol, list(self._models)) if isinstance(protocol, str) else ""
            self._tell(place, f"found {found(protocol)}, expected {speaks}{hint}")
        return dict(raw)

    def _refuse(self, kind: inspect.Type, raw: object, where: str, *, secret: bool) -> None:
        inner, _, _ = bare(kind)
        what = "a value that is not shown" if secret else found(raw)
        hint = ""
        if isinstance(raw, str) and not isinstance(raw, FromEnvironment):
            if isinstance(inner, inspect.StrType):
                hint = "" if secret else _hint(kind, raw)
            else:
                hint = _quotes_hint(inner, raw)
        elif isinstance(raw, int | float) and fits(inner, str(raw)):
            hint = "; write it in quotes"
        elif isinstance(inner, inspect.ListType) and isinstance(raw, dict):
            section = re.sub(r"\[\d+\]", "", where)  # TOML counts the items of a list by itself
            hint = f"; in TOML write [[{section}]] with two brackets"
        self._tell(where, f"found {what}, expected {expected(kind)}{hint}{_description(kind)}")

    def _tell(self, where: str, what: str) -> None:
        self._problems.append(Problem(where, what))


class _Key(NamedTuple):
    """One key of a model, and what is asked of it for each section; found out once, for a file may have 100,000 tags.

    Attributes:
        field: as msgspec describes it.
        name: as it stands in the file.
        is_secret: whether its value is never shown.
        mark: which kind of path on this machine it is, where it is one.
        has_made_default: whether its default depends on the file's folder.
    """

    field: inspect.Field
    name: str
    is_secret: bool
    mark: str | None
    has_made_default: bool


class _Shape(NamedTuple):
    """A model's keys, their names, and whether any of them is a secret."""

    keys: tuple[_Key, ...]
    names: tuple[str, ...]
    has_secrets: bool


@cache
def _described(model: type) -> _Shape:
    """The shape of a model; that takes longer to make than one section takes to check."""
    info = inspect.type_info(model)
    assert isinstance(info, inspect.StructType)
    keys = tuple(_key(field) for field in info.fields)
    return _Shape(keys, tuple(key.name for key in keys), any(key.is_secret for key in keys))


def _key(field: inspect.Field) -> _Key:
    name = field.encode_name
    mark = _path_mark(field.type) or ("file" if name.endswith(("_file", "_dir")) else None)
    is_section = isinstance(field.default_factory, type) and isinstance(field.type, inspect.StructType)
    is_path = mark is not None and field.default is not NODEFAULT and field.default is not None
    return _Key(field, name, is_secret(name), mark, is_section or is_path)


def _description(kind: inspect.Type) -> str:
    description = bare(kind)[2]
    return f". {description}" if description else ""


def _quotes_hint(inner: inspect.Type, raw: str) -> str:
    unquoted = converted(inner, FromEnvironment.of(raw, raw))
    return "; write it without quotes" if unquoted is not raw and fits(inner, unquoted) else ""


def _hint(kind: inspect.Type, raw: str) -> str:
    """What the model has to say to a text that it does not take."""
    while isinstance(kind, inspect.Metadata):
        tell = (kind.extra or {}).get("hint")
        if tell is not None:
            told: str = tell(raw)
            return told
        kind = kind.type
    return ""


def _path_mark(kind: inspect.Type) -> str | None:
    """What `LocalPath` and `ModuleRef` carry, also inside a union with None."""
    if isinstance(kind, inspect.Metadata):
        mark = (kind.extra or {}).get("path")
        return mark if isinstance(mark, str) else _path_mark(kind.type)
    if isinstance(kind, inspect.UnionType):
        return next((mark for mark in map(_path_mark, kind.types) if mark), None)
    return None

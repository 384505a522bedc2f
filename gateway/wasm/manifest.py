"""What a module says about itself: the JSON in its custom section `tidegate`.

Owned here: the model of the manifest, reading it out of a file, and holding a configuration's parameters against it.
Pure Python: a config file can be checked on a machine without wasmtime. The bytes are untrusted, so sizes, counts and
lengths are bounded; a manifest that breaks a bound is refused whole. Unknown keys are ignored, so that a module may say
more than this version asks; a module of another ABI is refused before anything else of its manifest is looked at.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from gateway.batch import Kind
from gateway.errors import ModuleError
from gateway.wasm.recent import keep
from gateway.wasm.sections import MAX_WASM_BYTES, custom_section

__all__ = [
    "ABI",
    "KINDS",
    "SECTION",
    "Manifest",
    "Output",
    "Param",
    "check_params",
    "parse_manifest",
    "read_manifest",
    "read_wasm",
    "resolve_params",
]

ABI: Final = 1
"""The version of the contract between host and module (modules/README.md) that this host speaks."""

SECTION: Final = "tidegate"
_MAX_MANIFEST_BYTES: Final = 65_536

_Identifier = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
_Line = Annotated[str, Meta(max_length=400)]
_Unit = Annotated[str, Meta(max_length=32)]
_KindName = Literal["bool", "i64", "u64", "f64", "str", "bytes"]
KINDS: Final[Mapping[str, Kind]] = {kind.name.lower(): kind for kind in Kind}
"""The kinds of value by the names that a manifest has for them."""


class Param(Struct, frozen=True, kw_only=True):
    """One parameter of a module. Whatever its type, the module is given it as one f64."""

    name: _Identifier
    type: Literal["number", "integer", "boolean", "choice"] = "number"
    unit: _Unit = ""
    min: float | None = None
    max: float | None = None
    choices: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=32)], ...], Meta(max_length=64)] = ()
    """What a choice may be; the module is given its place in this list."""
    groups: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    """To which group each of the choices belongs; for `same_group_as`."""
    same_group_as: _Identifier | None = None
    """Another choice, whose group must be the same: pascal and bar go together, pascal and metre do not."""
    default: float | bool | str | None = None
    """None: the configuration must give it."""
    needs: _Identifier | None = None
    """Another parameter that must be given too, where this one is."""
    help: _Line = ""


class Output(Struct, frozen=True, kw_only=True):
    """What the module computes of a tag besides the tag itself: a derived point, named `tag.output`."""

    name: _Identifier
    unit: _Unit = ""
    """`{unit}` stands for the tag's own."""
    kind: _KindName = "f64"
    optional: bool = False
    """Only made where the configuration names it."""
    help: _Line = ""


class Manifest(Struct, frozen=True, kw_only=True):
    """A module's own description."""

    name: _Identifier
    version: Annotated[str, Meta(min_length=1, max_length=32)]
    abi: int
    licence: Annotated[str, Meta(max_length=64)] = ""
    summary: _Line = ""
    stateful: bool = False
    """Whether an answer depends on earlier batches."""
    state: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Version of the bytes that it saves its state as; 0 where it saves none."""
    accepts: Annotated[tuple[_KindName, ...], Meta(min_length=1, max_length=6)] = get_args(_KindName)
    """Kinds of value that it works on; others pass untouched."""
    gives: _KindName | Literal["same"] = "same"
    """What those become."""
    params: Annotated[tuple[Param, ...], Meta(max_length=64)] = ()
    outputs: Annotated[tuple[Output, ...], Meta(max_length=64)] = ()


class _Head(Struct):
    abi: int


_parsed: Final[dict[str, Manifest]] = {}
"""Manifests by the digest of the file, the latest few: a check, a plan and each instance ask for the same ones."""


def read_wasm(path: Path) -> bytes:
    """The bytes of a module's file.

    Raises:
        ModuleError: the file cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            # The size is asked first because read(n) takes n bytes of memory, however small the file is.
            size = os.fstat(file.fileno()).st_size
            if size > MAX_WASM_BYTES:
                raise ModuleError(f"module {path} is larger than {MAX_WASM_BYTES} bytes")
            return file.read(size)
    except OSError as error:
        raise ModuleError(f"module {path} cannot be read: {error.strerror or error}") from None


def read_manifest(path: Path) -> Manifest:
    """The manifest in the module at `path`.

    Raises:
        ModuleError: the file cannot be read, is no Tidegate module, or speaks another ABI.
    """
    return parse_manifest(read_wasm(path), str(path))


def parse_manifest(wasm: bytes, source: str, *, digest: str = "") -> Manifest:
    """The manifest in a module's bytes.

    Args:
        wasm: the whole file; untrusted.
        source: what to call it in errors.
        digest: the file's SHA-256, where it is known already: a module may be megabytes.

    Raises:
        ModuleError: see `read_manifest`.
    """
    digest = digest or hashlib.sha256(wasm).hexdigest()
    known = _parsed.get(digest)
    return keep(_parsed, digest, _parse(wasm, source)) if known is None else known


def _parse(wasm: bytes, source: str) -> Manifest:
    try:
        section = custom_section(wasm, SECTION)
    except ModuleError as error:
        raise ModuleError(f"module {source}: {error}") from None
    if section is None:
        raise ModuleError(f"module {source} has no section '{SECTION}': it was not built for this gateway")
    if len(section) > _MAX_MANIFEST_BYTES:
        raise ModuleError(f"module {source}: its manifest is larger than {_MAX_MANIFEST_BYTES} bytes")
    try:
        abi = msgspec.json.decode(section, type=_Head).abi
        if abi != ABI:
            raise ModuleError(
                f"module {source} speaks ABI {abi}, this gateway speaks ABI {ABI}: "
                + ("update the gateway" if abi > ABI else "build the module anew with the SDK of this version")
            )
        manifest = msgspec.json.decode(section, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ModuleError(f"module {source}: its manifest cannot be used: {error}") from None
    contradictions = _contradictions(manifest)
    if contradictions:
        raise ModuleError(f"module {source}: its manifest contradicts itself: {contradictions[0]}")
    return manifest


def check_params(manifest: Manifest, params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with these parameters, as (parameter, what is wrong and what is possible)."""
    known = {param.name: param for param in manifest.params}
    wrong: list[tuple[str, str]] = []
    for name, value in params.items():
        if name in known:
            reason = _misfit(known[name], value)
            needed = known[name].needs
            if reason:
                wrong.append((name, reason))
            elif needed and not params.get(needed) and value != known[name].default:
                wrong.append((name, f"needs {needed} beside it"))
            elif reason := _other_group(known, name, params):
                wrong.append((name, reason))
        else:
            wrong.append((name, _unknown(manifest, name)))
    wrong += [
        (param.name, f"is missing: {param.help or 'the module has no default for it'}")
        for param in manifest.params
        if param.default is None and param.name not in params
    ]
    return wrong


def resolve_params(manifest: Manifest, params: Mapping[str, Any]) -> tuple[float, ...]:
    """All parameters in the manifest's order, defaults filled in, as the module is given them.

    Raises:
        ModuleError: `check_params` finds something.
    """
    wrong = check_params(manifest, params)
    if wrong:
        raise ModuleError(f"module {manifest.name}: " + "; ".join(f"{name} {reason}" for name, reason in wrong))
    return tuple(_cell(param, params.get(param.name, param.default)) for param in manifest.params)


def _cell(param: Param, value: float | str) -> float:
    return float(param.choices.index(str(value)) if param.type == "choice" else value)


def _other_group(known: Mapping[str, Param], name: str, params: Mapping[str, Any]) -> str:
    """Why this choice does not go with the one that it must be of one group with; empty where it does."""
    other = known.get(known[name].same_group_as or "")
    if other is None:
        return ""
    value = params.get(other.name, other.default)
    mine = _group(known[name], params[name])
    if value not in other.choices or _group(other, value) == mine:
        return ""
    fitting = [choice for choice in other.choices if _group(other, choice) == mine]
    return f"is {params[name]!r}, which does not go with {other.name} = {value!r}; {other.name} may be " + (
        ", ".join(fitting) or "nothing"
    )


def _group(param: Param, choice: object) -> str:
    return param.groups[param.choices.index(choice)] if choice in param.choices else ""


def _misfit(param: Param, value: object) -> str:
    if param.type == "choice":
        if value in param.choices:
            return ""
        near = difflib.get_close_matches(str(value), param.choices, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"is {value!r}, expected one of {', '.join(param.choices)}{hint}"
    if param.type == "boolean":
        return "" if isinstance(value, bool) else f"is {value!r}, expected true or false"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"is {value!r}, expected {'an integer' if param.type == 'integer' else 'a number'}"
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        return "is too large or no number, expected a finite one"
    if param.type == "integer" and (number != value or not number.is_integer()):
        return f"is {value!r}, expected an integer"
    unit = f" {param.unit}" if param.unit else ""
    if param.min is not None and number < param.min:
        return f"is {value!r}, expected at least {param.min:g}{unit}"
    if param.max is not None and number > param.max:
        return f"is {value!r}, expected at most {param.max:g}{unit}"
    return ""


def _unknown(manifest: Manifest, name: str) -> str:
    names = [param.name for param in manifest.params]
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"is not a parameter of {manifest.name}; did you mean {near[0]}?"
    return f"is not a parameter of {manifest.name}; it has {', '.join(names) or 'none'}"


def _contradictions(manifest: Manifest) -> list[str]:
    names = [param.name for param in manifest.params]
    found = [f"parameter {name} appears twice" for name in _repeated(names)]
    found += [f"output {name} appears twice" for name in _repeated(output.name for output in manifest.outputs)]
    for param in manifest.params:
        if (param.type == "choice") != bool(param.choices):
            found.append(f"parameter {param.name}: a choice has choices, and nothing else has")
        if param.groups and len(param.groups) != len(param.choices):
            found.append(f"parameter {param.name} has {len(param.choices)} choices in {len(param.groups)} groups")
        other = param.same_group_as
        if other is not None and not (
            param.groups and any(one.name == other and one.groups for one in manifest.params)
        ):
            found.append(f"parameter {param.name} is to be of one group with {other}, and there are no such groups")
        if param.needs is not None and param.needs not in names:
            found.append(f"parameter {param.name} needs {param.needs}, which does not exist")
        if param.default is not None and (reason := _misfit(param, param.default)):
            found.append(f"the default of {param.name} {reason}")
    return found


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]

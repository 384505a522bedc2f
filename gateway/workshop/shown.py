"""A module's description of itself as text and as data, for people and for forms."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gateway.wasm.library import is_built_in
from gateway.wasm.manifest import KINDS, Manifest, Output, Param

__all__ = ["filter_text", "inspect_json", "inspect_text", "some_params"]


def inspect_text(module: str, wasm: bytes, manifest: Manifest) -> str:
    """What a module is and takes.

    Args:
        module: as it would stand in a configuration.
        wasm: its file.
        manifest: what it says of itself.
    """
    memory = "remembers nothing"
    if manifest.stateful:
        kept = f"and saves it (version {manifest.state})" if manifest.state else "in its instance only"
        memory = f"remembers earlier readings, {kept}"
    lines = [
        f"{manifest.name} {manifest.version}: {manifest.summary}",
        f"  ABI {manifest.abi}, licence {manifest.licence or 'not told'}, {len(wasm)} bytes",
        f"  works on {', '.join(manifest.accepts) if len(manifest.accepts) < len(KINDS) else 'any value'}; {memory}",
    ]
    lines += ["  parameters", *_table([_param(one) for one in manifest.params])] if manifest.params else []
    lines += ["  outputs", *_table([_output(one) for one in manifest.outputs])] if manifest.outputs else []
    return "\n".join([*lines, "", filter_text(module, wasm, manifest)])


def inspect_json(module: str, wasm: bytes, manifest: Manifest) -> dict[str, Any]:
    """The same as plain data."""
    found: dict[str, Any] = msgspec.to_builtins(manifest)
    return {"module": module, "sha256": hashlib.sha256(wasm).hexdigest(), "bytes": len(wasm), **found}


def filter_text(module: str, wasm: bytes, manifest: Manifest) -> str:
    """The lines of a configuration that put a module to work."""
    lines = ["[[filters]]", f'module = "{module}"']
    if not is_built_in(module):
        lines.append(f'sha256 = "{hashlib.sha256(wasm).hexdigest()}"')
    needed = some_params(manifest)
    if needed:
        lines.append(f"params = {{ {', '.join(f'{name} = {_toml(value)}' for name, value in needed.items())} }}")
    if manifest.outputs and all(output.optional for output in manifest.outputs):
        lines.append(f'outputs = {{ {manifest.outputs[0].name} = "a-name" }}')
    return "\n".join(lines)


def some_params(manifest: Manifest) -> dict[str, float | str]:
    """A value for each parameter that must be given."""
    return {param.name: _some(param) for param in manifest.params if param.default is None}


def _some(param: Param) -> float | str:
    if param.type == "choice":
        return param.choices[0]
    low = 1.0 if param.min is None else max(param.min, 1.0)
    value = low if param.max is None else min(low, param.max)
    return int(value) if param.type == "integer" else value


def _toml(value: float | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _param(param: Param) -> tuple[str, str, str]:
    limits = {"from": param.min, "to": param.max}
    span = " ".join(f"{word} {limit:g}" for word, limit in limits.items() if limit is not None)
    kind = ", ".join(param.choices) if param.type == "choice" and len(param.choices) < 8 else param.type
    default = "must be given" if param.default is None else f"default {_default(param.default)}"
    told = [kind, param.unit, span, default]
    more = f" One of {', '.join(param.choices)}." if kind == "choice" else ""
    return param.name, " ".join(filter(None, told)), param.help + more


def _default(value: float | bool | str) -> str:
    return str(value).lower() if isinstance(value, (bool, str)) else f"{value:g}"


def _output(output: Output) -> tuple[str, str, str]:
    unit = "the tag's unit" + output.unit.removeprefix("{unit}") if output.unit.startswith("{unit}") else output.unit
    optional = "made where it is named" if output.optional else ""
    return output.name, ", ".join(filter(None, [output.kind, unit, optional])), output.help


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"    {name:<{widths[0]}}  {kind:<{widths[1]}}  {text}".rstrip() for name, kind, text in rows]

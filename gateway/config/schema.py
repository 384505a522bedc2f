"""The JSON Schema of the configuration file (draft 2020-12), made from the same models that read it.

On top of what msgspec makes of a model it knows what the reader knows: devices are told apart by `type`, a secret may
be given as a file, and a value that is no plain text may come from the environment as text with `${NAME}` in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.config.keys import is_secret
from gateway.config.models import Config, DeviceSettings
from gateway.config.secrets import file_key

__all__ = ["schema"]

_REF: Final = "#/$defs/{name}"
_VARIABLE: Final = "FromEnvironment"
_NOTES: Final = ("title", "description", "default")
_LIMITS: Final = frozenset({"enum", "const", "pattern", "minLength", "maxLength"})


def schema(models: Mapping[str, type[DeviceSettings]]) -> dict[str, Any]:
    """The schema.

    Args:
        models: the device model of each protocol, by the device's `type`.
    """
    names = list(models)
    (root, *devices), parts = msgspec.json.schema_components(
        [Config, *(models[name] for name in names)], ref_template=_REF
    )
    parts = {name: _or_variable_below(_with_tags_file(_with_secret_files(part))) for name, part in parts.items()}
    for name, ref in zip(names, devices, strict=True):
        device = parts[ref["$ref"].rpartition("/")[2]]
        device["properties"]["type"] = {"description": "The device's protocol.", "const": name}
        device["required"] = ["type", *(key for key in device["required"] if key != "type")]
    whole = parts[root["$ref"].rpartition("/")[2]]
    whole["properties"]["devices"]["items"] = {"oneOf": devices}
    parts.pop(DeviceSettings.__name__, None)
    parts[_VARIABLE] = {
        "description": "Text that the environment's variables are put into: ${NAME} or ${NAME:-default}.",
        "type": "string",
        "pattern": r"\$\{",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Tidegate's configuration", **root} | {
        "$defs": parts
    }


def _with_secret_files(part: dict[str, Any]) -> dict[str, Any]:
    properties = dict(part.get("properties", {}))
    secrets = [key for key in properties if is_secret(key) and file_key(key) not in properties]
    if not secrets:
        return part
    required = [key for key in part.get("required", []) if key not in secrets]
    rules: list[dict[str, Any]] = []
    for key in secrets:
        by_file = file_key(key)
        properties[by_file] = {
            "description": f"File that holds {key}. A line end behind it does not count.",
            "type": "string",
            "minLength": 1,
        }
        rules.append({"not": {"required": [key, by_file]}})
        if key in part.get("required", []):
            rules.append({"anyOf": [{"required": [key]}, {"required": [by_file]}]})
    return {**part, "properties": properties, "required": required, "allOf": rules}


def _with_tags_file(part: dict[str, Any]) -> dict[str, Any]:
    """A device whose tags have to be given may give them as a file."""
    required = part.get("required", [])
    if "tags_file" not in part.get("properties", {}) or "tags" not in required:
        return part
    either = {"anyOf": [{"required": ["tags"]}, {"required": ["tags_file"]}]}
    return {
        **part,
        "required": [key for key in required if key != "tags"],
        "allOf": [*part.get("allOf", []), either],
    }


def _or_variable_below(part: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _or_variable(node) for name, node in part.get("properties", {}).items()}
    return {**part, "properties": properties} if properties else part


def _or_variable(node: dict[str, Any]) -> dict[str, Any]:
    """The node, which also takes text from the environment where it would not by itself."""
    reference = {"$ref": _REF.format(name=_VARIABLE)}
    if "items" in node and isinstance(node["items"], dict):
        return {**node, "items": _or_variable(node["items"])}
    notes = {key: value for key, value in node.items() if key in _NOTES}
    core = {key: value for key, value in node.items() if key not in _NOTES}
    if any(_is_strict(option) for option in core.get("anyOf", ())):
        return {**notes, "anyOf": [*core["anyOf"], reference]}
    return {**notes, "anyOf": [core, reference]} if _is_strict(core) else node


def _is_strict(node: Mapping[str, Any]) -> bool:
    """Whether the node takes plain values, but not every text."""
    return node.get("type") in ("integer", "number", "boolean") or bool(_LIMITS & node.keys())

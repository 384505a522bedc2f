"""What no single key can tell: mistakes between keys of the file.

Works on the tree, not on the models, so that these mistakes are told together with all others, whatever else is
wrong in the file. No two tags can make one point: its path ends with device and tag, neither of which can hold a
slash, so unique names make unique paths.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.config import keypath
from gateway.config.models import Config, TlsSettings, UplinkSettings
from gateway.config.words import found
from gateway.errors import Problem

__all__ = ["MAX_SOCKET_PATH_BYTES", "config_problems", "duplicate_names", "tls_problems"]

MAX_SOCKET_PATH_BYTES: Final = 107
"""Linux's sockaddr_un holds 108 bytes, with the closing zero."""

_MAX_MQTT_STRING_BYTES: Final = 65_535
"""MQTT 5, 1.5.4: a text's length has two bytes."""
_PLACEHOLDER = re.compile(r"[{}]")


def duplicate_names(tree: Mapping[str, Any]) -> list[Problem]:
    """Names of devices that stand twice, and names of tags that stand twice in one device."""
    problems = _duplicates(tree, "devices", "")
    devices = tree.get("devices")
    for index, device in enumerate(devices if isinstance(devices, list) else []):
        if isinstance(device, dict):
            problems += _duplicates(device, "tags", keypath.item("devices", index))
    return problems


def _duplicates(section: Mapping[str, Any], key: str, where: str) -> list[Problem]:
    items = section.get(key)
    place = keypath.key(where, key)
    first: dict[str, int] = {}
    problems = []
    for index, entry in enumerate(items if isinstance(items, list) else []):
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            taken_by = keypath.item(place, first[name])
            where_again = keypath.key(keypath.item(place, index), "name")
            problems.append(Problem(where_again, f"the name {found(name)} is taken by {taken_by}; give each its own"))
    return problems


def config_problems(config: Config) -> list[Problem]:
    """Mistakes between keys of the sections that every gateway has."""
    problems = []
    size = len(os.fsencode(config.socket_path))
    if size > MAX_SOCKET_PATH_BYTES:
        what = f"{config.socket_path} has {size} bytes and a socket's path may have {MAX_SOCKET_PATH_BYTES}; "
        problems.append(Problem("control.socket", what + "give a shorter one, such as /run/tidegate/control.sock"))
    if os.path.isdir(config.database.path):  # noqa: PTH112 - a folder that may not be looked into is no mistake here
        what = f"{config.database.path} is a folder; give a file in it, such as {config.database.path}/tidegate.db"
        problems.append(Problem("database.path", what))
    problems += _socket_problems(config)
    if config.commands.enabled and config.uplink is None:
        problems.append(Problem("commands.enabled", "commands come over MQTT; add the section [uplink]"))
    if config.uplink is not None:
        problems += _uplink_problems(config.uplink)
    return problems


def _socket_problems(config: Config) -> list[Problem]:
    path = config.socket_path
    if path == Path(config.database.path):
        return [Problem("control.socket", f"{path} is database.path as well; give each a file of its own")]
    try:
        is_other = not stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return []  # nothing is there yet, or this user may not look: then `run` tells
    what = f"{path} is there, and is no socket; give another path, or move it away"
    return [Problem("control.socket", what)] if is_other else []


def _uplink_problems(uplink: UplinkSettings) -> list[Problem]:
    problems = []
    if _PLACEHOLDER.search(uplink.topic.replace("{gateway}", "")):
        what = f"found {found(uplink.topic)}, expected {{gateway}} as the only thing in braces"
        problems.append(Problem("uplink.topic", what))
    for key in ("client_id", "username", "password"):
        size = len((getattr(uplink, key) or "").encode(errors="surrogatepass"))
        if size > _MAX_MQTT_STRING_BYTES:
            what = f"this text has {size} bytes and MQTT takes {_MAX_MQTT_STRING_BYTES}; give a shorter one"
            problems.append(Problem(f"uplink.{key}", what))
    if uplink.password is not None and uplink.username is None and uplink.protocol == "3.1.1":
        # MQTT 3.1.1, [MQTT-3.1.2-22]: without a user name there can be no password.
        problems.append(Problem("uplink.username", "this key is missing; MQTT 3.1.1 knows no password without it"))
    if uplink.tls is not None:
        problems += tls_problems(uplink.tls, "uplink.tls")
    return problems


def tls_problems(tls: TlsSettings, where: str) -> list[Problem]:
    """What is wrong with the files of a TLS section.

    Args:
        tls: the section.
        where: its key path.
    """
    problems = []
    for key, partner in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(tls, key) is not None and getattr(tls, partner) is None:
            problems.append(Problem(f"{where}.{partner}", f"this key is missing; it goes with {key}"))
    for key in ("ca_file", "cert_file", "key_file"):
        name = getattr(tls, key)
        if name is not None and not (Path(name).is_file() and os.access(name, os.R_OK)):
            problems.append(Problem(f"{where}.{key}", f"{name} is no file that this user can read"))
    if not problems and (tls.ca_file or tls.cert_file):
        # Here, so that a configuration without certificates need not load OpenSSL.
        from gateway.config.certificates import certificate_problems

        problems += certificate_problems(tls, where)
    return problems

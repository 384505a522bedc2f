"""Where a module's file is, a built-in name or a path, and which bytes it must have. Pure Python.

Invariant: no module is run that nobody vouched for. The built-in ones are pinned by SHA256SUMS, which is built with
them; one of your own is pinned by `sha256` in the configuration, and so is a built-in one that has it there.
"""

from __future__ import annotations

import difflib
import hashlib
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import modules
from gateway.errors import ModuleError
from gateway.wasm.manifest import Manifest, parse_manifest, read_wasm

__all__ = ["ModuleFile", "NotPinned", "built_in", "is_built_in", "pin_problem", "read_pinned", "resolve"]

_DIST: Final = Path(modules.__file__).parent / "dist"


class NotPinned(ModuleError):
    """A module's file is not the one that was pinned, or nothing pins it."""


class ModuleFile(NamedTuple):
    """A module's file that somebody vouches for.

    Attributes:
        path: where it stands.
        wasm: its bytes.
        digest: their SHA-256.
    """

    path: Path
    wasm: bytes
    digest: str

    def manifest(self) -> Manifest:
        """What the module says of itself.

        Raises:
            ModuleError: see `read_manifest`.
        """
        return parse_manifest(self.wasm, str(self.path), digest=self.digest)


def built_in() -> list[str]:
    """Names of the modules that ship with the product."""
    return sorted(path.stem for path in _DIST.glob("*.wasm"))


def is_built_in(module: str) -> bool:
    """Whether this is a built-in module's name, and not a path."""
    return not (module.endswith(".wasm") or "/" in module)


def read_pinned(module: str, base: Path, sha256: str | None) -> ModuleFile:
    """The file of a configured module, where it is the one that was pinned.

    Args:
        module: a built-in module's name, or a path.
        base: the folder that a relative path starts from.
        sha256: the configuration's pin.

    Raises:
        NotPinned: it is another one.
        ModuleError: there is no such module, or its file cannot be read.
    """
    path = resolve(module, base)
    wasm = read_wasm(path)
    digest = hashlib.sha256(wasm).hexdigest()
    problem = pin_problem(module, sha256, digest)
    if problem:
        raise NotPinned(f"module {path}: {problem}")
    return ModuleFile(path, wasm, digest)


def pin_problem(module: str, sha256: str | None, found: str) -> str:
    """Why a file is not to be run as this module; empty where it may be.

    Args:
        module: a built-in module's name, or a path.
        sha256: the configuration's pin.
        found: the digest of the file.
    """
    wanted = sha256 or (_sums().get(f"{module}.wasm") if is_built_in(module) else None)
    if wanted == found:
        return ""
    if wanted is not None:
        by = "sha256 in the configuration" if sha256 else "the product's own list"
        return f"the file's sha256 is {found}, and {by} is {wanted}: it was changed, and is not run"
    if is_built_in(module):
        return f"the file's sha256 is {found}, and the product's own list has none for it: it is not run"
    return f'no sha256 pins it. Its file has sha256 = "{found}": write that beside it if it is the module you trust'


@cache
def _sums() -> dict[str, str]:
    """The digests of the modules that ship, by file name."""
    try:
        lines = (_DIST / "SHA256SUMS").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def resolve(module: str, base: Path) -> Path:
    """The file of a configured module.

    Args:
        module: a built-in module's name, or the path of a .wasm file.
        base: the folder that a relative path starts from: the config file's.

    Raises:
        ModuleError: there is no such module.
    """
    if not is_built_in(module):
        path = base / module
        if path.is_file():
            return path
        raise ModuleError(f"module {module!r}: there is no file {path}")
    path = _shipped(module)
    if path.is_file():
        return path
    raise ModuleError(
        f"module {module!r} is not built in{_hint(module)}. There are {', '.join(built_in())}. "
        "A module of your own is given by its path, ending in .wasm"
    )


@lru_cache(maxsize=64)
def _shipped(module: str) -> Path:
    """Where a built-in module's file would be; making a path costs as much as reading the file."""
    return _DIST / f"{module}.wasm"


def _hint(module: str) -> str:
    near = difflib.get_close_matches(module, built_in(), 1)
    return f"; did you mean {near[0]}" if near else ""

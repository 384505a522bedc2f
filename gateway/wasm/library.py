"""Where a module's file is: a built-in name or a path. Pure Python, reads no file's content."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import modules
from gateway.errors import ModuleError

__all__ = ["built_in", "resolve"]

_DIST: Final = Path(modules.__file__).parent / "dist"


def built_in() -> list[str]:
    """Names of the modules that ship with the product."""
    return sorted(path.stem for path in _DIST.glob("*.wasm"))


def resolve(module: str, base: Path) -> Path:
    """The file of a configured module.

    Args:
        module: a built-in module's name, or the path of a .wasm file.
        base: the folder that a relative path starts from: the config file's.

    Raises:
        ModuleError: there is no such module.
    """
    if module.endswith(".wasm") or "/" in module:
        path = base / module
        if path.is_file():
            return path
        raise ModuleError(f"module {module!r}: there is no file {path}")
    path = _DIST / f"{module}.wasm"
    if path.is_file():
        return path
    raise ModuleError(
        f"module {module!r} is not built in; there are {', '.join(built_in())}. "
        "A module of your own is given by its path, ending in .wasm"
    )

"""`python image/imports.py FOLDER`: imports every module of the product that lies in a folder, by the image's Python.

Run by `assemble.sh` after pruning. An import that fails ends with its traceback: what `prune.txt` removed is needed
after all. The libraries' own modules are imported as far as the product does.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from typing import Final

__all__ = ["main"]

_PRODUCT: Final = ("gateway", "adapters", "modules")


def main(folder: str) -> None:
    """Imports all modules of the product in `folder`.

    Raises:
        ImportError: one of them needs what is not there.
    """
    for package in _PRODUCT:
        for module in pkgutil.walk_packages([f"{folder}/{package}"], prefix=f"{package}."):
            import_module(module.name)


if __name__ == "__main__":
    main(sys.argv[1])

"""Compares a picture of the screen with the one that is kept; `UPDATE_GOLDEN=1` keeps the new one.

The pictures are the README's too. Rich gives each SVG's styles a number of its own; here it is the picture's name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden" / "tui"
_IDS = re.compile(r"terminal-\d+")
# Pictures in a README stand on their own: no font is fetched from elsewhere.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def normal(svg, name):
    lines = _FONTS.sub("", _IDS.sub(name, svg)).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def matches(svg, name):
    """The text of the kept picture, or a failure that says how to look at the new one."""
    kept = GOLDEN / f"{name}.svg"
    new = normal(svg, name)
    if os.environ.get("UPDATE_GOLDEN"):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(new)
    assert kept.exists(), f"there is no {kept.name}; UPDATE_GOLDEN=1 keeps this picture"
    assert new == kept.read_text(), (
        f"{kept.name} looks different; UPDATE_GOLDEN=1 keeps the new picture, then look at it"
    )

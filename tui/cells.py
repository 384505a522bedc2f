"""Text in terminal cells: a Chinese character takes two, and columns have to line up all the same."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

__all__ = ["clean", "fit", "width"]

_ELLIPSIS = "…"


def width(text: str) -> int:
    """How many cells the text takes."""
    return cell_len(text)


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """The text in exactly so many cells: padded, or cut with an ellipsis."""
    if cells <= 0:
        return ""
    long = cell_len(text)
    if long > cells:
        return set_cell_size(set_cell_size(text, cells - 1).rstrip() + _ELLIPSIS, cells)
    return " " * (cells - long) + text if right else text + " " * (cells - long)


def clean(text: str) -> str:
    """The text without what could steer a terminal: a device may have sent it."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)

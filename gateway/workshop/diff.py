"""Where shadows differ from the modules at work, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["diff_text", "shadows"]


def shadows(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All shadows of a status page: device, filter, module at work, and what is told of the shadow."""
    return [
        {"device": device, "filter": one["name"], "module": one["module"], "shadow": one["shadow"]}
        for device, filters in status.get("filters", {}).items()
        for one in filters
        if one.get("shadow")
    ]


def diff_text(found: list[dict[str, Any]]) -> str:
    """A paragraph for each shadow."""
    if not found:
        return "no filter at work has a shadow: give one, `shadow = { module = ..., sha256 = ... }`, and apply that"
    return "\n\n".join("\n".join(_paragraph(one)) for one in found)


def _paragraph(one: Mapping[str, Any]) -> Iterator[str]:
    told = one["shadow"]
    yield f"{one['filter']} on {one['device']}: {one['module']} at work, {told['module']} as its shadow"
    if told["state"] in ("failing", "parked"):
        yield f"  the shadow fails ({told['failures']} times): {told['last_error']}"
    if not told["batches"]:
        yield "  nothing to compare yet"
        return
    yield f"  {told['differing']} of {told['batches']} batches differ, with {told['readings']} readings"
    yield f"  {told['kept']} readings went on, with the shadow {told['shadow_kept']}"
    yield f"  a reading costs {told['cost_us']:.3f} us, in the shadow {told['shadow_cost_us']:.3f} us"
    for example in told["examples"]:
        at = datetime.fromtimestamp(example["ts_ns"] / 1e9, UTC).isoformat(timespec="milliseconds")
        yield f"    {example['tag']} at {at}: {example['now']}, shadow: {example['shadow']}"

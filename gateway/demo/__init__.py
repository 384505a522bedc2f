"""The demo: a plant, a broker, the real gateway, an outage, a crash, and a verdict.

Nothing here is part of a running gateway. `broker` and `cutter` also serve the tests.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gateway.errors import TidegateError

__all__ = ["run"]


def run(*, seconds: float, as_json: bool, module: Path | None = None) -> int:
    """Tells the story on the terminal and gives its verdict as the exit status.

    Args:
        seconds: how long the story takes, from the first reading to the stop; what the machines need to start and to
            drain a backlog comes on top. At least 15 leaves each part a few seconds.
        as_json: the verdict is the last line of standard output, as JSON; the story goes to standard error.
        module: a Wasm module that filters the machines' analogue tags; trusted as it is now.

    Returns:
        0 when nothing was lost and all of it happened, 1 when not, 130 when it was interrupted.

    Raises:
        TidegateError: a part is not installed, or could not be started.
    """
    if find_spec("pymodbus") is None:
        raise TidegateError("the simulated plant is not installed here: pip install tidegate[demo]")
    # Imported here: the broker's child process and the tests need parts of this package, not the whole show.
    from gateway.demo.show import show

    return show(seconds=seconds, as_json=as_json, module=module)

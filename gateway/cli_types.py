"""What the commands have in common: options, the types that they take beyond click's own, and printing."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.errors import TidegateError

__all__ = ["PATH", "Command", "FiniteRange", "config_option", "json_option", "say"]

# Without click's own look at the file: the reader says more about one that it cannot open.
PATH = click.Path(path_type=Path, readable=False)

Command = TypeVar("Command", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """A range that not-a-number is not in: it is neither below nor above any limit."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; click.BadParameter where it is none."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.", param, ctx)
        return number


def config_option(tells: str, *, required: bool = False) -> Callable[[Command], Command]:
    """`--config FILE`, which may also come from the environment.

    Args:
        tells: what the configuration is asked for: "the socket".
        required: whether the command cannot do without.
    """
    return click.option(
        "--config",
        type=PATH,
        envvar="TIDEGATE_CONFIG",
        show_envvar=True,
        required=required,
        help=f"The gateway's configuration, which tells {tells}.",
    )


def json_option(what: str = "it") -> Callable[[Command], Command]:
    """`--json`, given to the command as `as_json`.

    Args:
        what: what is printed so: "the verdict".
    """
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON.")


def say(text: str) -> None:
    """Prints what the command is for.

    Raises:
        TidegateError: there is no standard output.
    """
    if sys.stdout is None:
        raise TidegateError("standard output is closed: there is nowhere to print to")
    click.echo(text)

"""What options of the command line may hold, beyond click's own types."""

from __future__ import annotations

import math

import click

__all__ = ["FiniteRange"]


class FiniteRange(click.FloatRange):
    """A range that not-a-number is not in: it is neither below nor above any limit."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; click.BadParameter where it is none."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.", param, ctx)
        return number

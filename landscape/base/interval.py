"""Interval: what the error bars or bands of a figure are, as data; nearly everywhere 95 % intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from landscape.errors import InputError

__all__ = ["LEVEL", "Interval"]

LEVEL = 0.95
"""The level of every interval that is drawn, unless an analysis has an option for it."""


@dataclass(frozen=True)
class Interval:
    """What error bars or bands mean; its text stands below the figure.

    Attributes:
        over: What varies: "over examples", "paired by example".
        how: How it was found: "±2 standard errors", "by the bootstrap".
        mark: Whether they are bars or bands.
        level: The share of intervals that hold the true value; ``None`` for what is none: a spread, a bound.
        note: A sentence to follow.

    Example:
        >>> str(Interval("over examples", "by Wilson (1927)"))
        'Bands: 95 % intervals, by Wilson (1927) over examples.'
        >>> str(Interval("over directions", "±1 standard deviation", level=None))
        'Bands: ±1 standard deviation over directions.'
    """

    over: str = ""
    how: str = ""
    mark: Literal["Bars", "Bands"] = "Bands"
    level: float | None = LEVEL
    note: str = ""

    def __post_init__(self) -> None:
        if self.mark not in ("Bars", "Bands"):
            raise InputError(f"an interval is drawn as 'Bars' or 'Bands'; got {self.mark!r}.")
        if self.level is not None and not 0 < self.level < 1:
            raise InputError(f"the level of an interval lies between 0 and 1; got {self.level}.")

    def __str__(self) -> str:
        what = "" if self.level is None else f"{100 * self.level:g} % intervals"
        parts = [p for p in (what, " ".join(p for p in (self.how, self.over) if p)) if p]
        return f"{self.mark}: {', '.join(parts)}.{' ' * bool(self.note)}{self.note}"

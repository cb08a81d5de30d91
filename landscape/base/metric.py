"""Metric: one number of a result's summary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Metric"]


@dataclass(frozen=True)
class Metric:
    """One number of a result's summary: a column of the report's table.

    Attributes:
        name: Heading of the column.
        value: The number, word or truth value.
        unit: Its unit.
        meaning: One phrase.
        finding: Whether it says most of all.
        error: Half the width of its 95 % interval, NaN where none is known: what other examples, probes or
            resamples might have moved the value by. It says nothing of other training runs. None is known of
            what is exact for these weights and data (`weights`); of means and extremes of numbers that were
            measured on the same examples, whose errors go together (mean accuracy over corruptions, the
            highest loss on a line or surface, barriers, whose test is their p-value); nor of expected
            calibration errors of corrupted images, which carry none.
    """

    name: str
    value: float | int | bool | str
    unit: str = "1"
    meaning: str = ""
    finding: bool = False
    error: float = float("nan")

    @property
    def number(self) -> float | None:
        """The value, if it is a number; words and truth values are none."""
        if isinstance(self.value, bool | np.bool_ | str):
            return None
        return float(self.value)

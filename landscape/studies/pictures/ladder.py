"""Ladder: an effect of kinds of models against the number that tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from landscape.base.figure import Axis, FigureSpec, Line, Series
from landscape.base.interval import Interval
from landscape.studies.claims import above
from landscape.studies.measured import Effect, Measured

__all__ = ["Ladder"]


@dataclass(frozen=True)
class Ladder:
    """A figure with a line through kinds of models, each at its place on the axis.

    Attributes:
        name: Of its file, after that of the study, and of the figure.
        title: Of the figure.
        of: Whose results: a label of `landscape.studies.On`.
        lines: By what the legend says: a number of a result, and kinds with their places.
        x: The axis of places.
        y: The axis of the effect.
        caption: What it shows.
    """

    name: str
    title: str
    of: str
    lines: Mapping[str, tuple[Effect, Mapping[str, float]]]
    x: Axis
    y: Axis
    caption: str

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of models it shows."""
        return tuple(dict.fromkeys(kind for _, places in self.lines.values() for kind in places))

    def draw(self, measured: Measured) -> dict[str, FigureSpec]:
        """The figure by its name: means over cohorts with Student's 95 % intervals."""
        lines: list[Line] = []
        for label, (effect, places) in self.lines.items():
            rows = [above("", "", measured.by_cohort(self.of, effect, kind)) for kind in places]
            low, high = [row.t_low for row in rows], [row.t_high for row in rows]
            means = [row.effect for row in rows]
            lines.append(Line(list(places.values()), means, Series(label), low, high, markers=True))
        errors = Interval("over cohorts", "by Student's t")
        spec = FigureSpec(self.name, self.title, self.x, self.y, tuple(lines), self.caption, errors)
        return {self.name: spec}

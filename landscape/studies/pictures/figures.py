"""Figures of a study: which pictures of which results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import xarray as xr

from landscape.base.figure import Axis, FigureSpec, Line, Mark, Series
from landscape.base.interval import Interval
from landscape.base.registry import find
from landscape.plotting import figures_of
from landscape.plotting.group_summary import summarize_by_group
from landscape.studies import ensembles
from landscape.studies.claims import above
from landscape.studies.measured import ENSEMBLE, Effect, Measured

__all__ = ["Figure", "Sweep"]


@dataclass(frozen=True)
class Figure:
    """Figures of the results of one label, those of all seeds on shared axes.

    Attributes:
        of: Whose results: a label of `landscape.studies.On`, ``ensemble`` or a table.
        names: The figure of the analysis, or several; all if none is named.
        kinds: Kinds of models; all if none is named.
        tag: How names of files begin, after that of the study; default: ``of``.
        cohorts: Names of cohorts; all if none is named. Models of the same name in several are drawn once.
        by_cohort: Whether those of all cohorts are drawn, and those of one kind together.
        analysis: Where the analysis is found that draws them, ``package.module:attribute``, if it is not in
            the list of analyses.
        beside: A mark of the first result for every figure of an analysis: of what only the study knows, such
            as which examples the models were trained on.
    """

    of: str
    names: str | tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    tag: str | None = None
    cohorts: tuple[str, ...] = ()
    by_cohort: bool = False
    analysis: str = ""
    beside: Callable[[xr.Dataset], Mark] | None = None

    def draw(self, measured: Measured) -> dict[str, FigureSpec]:
        """The figures by the names of their files, without ending; none if there is no result.

        Seeds of one kind are drawn together, see `landscape.plotting.group_summary.summarize_by_group`.
        """
        kinds: dict[str, str] = {}
        for part in measured.parts:
            own = {m.name: m.recipe.group for m in part.models}
            own |= {name: a.name for a in part.averages for name in part.subjects(a.name)}
            if self.kinds:  # an axis of kinds has a place for each that is named here, and for no other
                own = {name: kind for name, kind in own.items() if kind in self.kinds}
            kinds |= own | {f"{part.name}: {name}": kind for name, kind in own.items()}
        chosen = (self.names,) if isinstance(self.names, str) else self.names
        tag = self.of if self.tag is None else self.tag
        return {
            f"{tag}_{spec.name}" if tag else spec.name: summarize_by_group(spec, kinds, "kind")
            for spec in self._specs(measured)
            if not chosen or spec.name in chosen
        }

    def _specs(self, measured: Measured) -> Sequence[FigureSpec]:
        if self.of == ENSEMBLE:
            return [ensembles.figure({kind: measured.ensemble(kind) for kind in self.kinds})]
        if self.of in measured.tables:
            return figures_of(measured.tables[self.of].dataset)
        if self.by_cohort:
            found = measured.apart(self.of, self.kinds)
        else:
            found = measured.results(self.of, self.kinds, self.cohorts)
        if not found:
            return []
        specs = find(self.analysis).figures(found) if self.analysis else figures_of(found)
        if self.beside is None:
            return specs
        mark = self.beside(next(iter(found.values())))
        return [replace(spec, marks=(*spec.marks, mark)) for spec in specs]


@dataclass(frozen=True)
class Sweep:
    """An effect against a number that differs between results, one line per kind of models.

    Attributes:
        name: Of its file, after that of the study, and of the figure.
        title: Of the figure.
        over: Labels of results, each with its place on the axis.
        effect: A number of a result, see `landscape.studies.effects`.
        kinds: Kinds of models.
        x: The axis of places.
        y: The axis of the effect.
        caption: What it shows.
        by_cohort: Whether there is one number per cohort, the mean over its seeds; otherwise one per seed.
    """

    name: str
    title: str
    over: Mapping[str, float]
    effect: Effect
    kinds: tuple[str, ...]
    x: Axis
    y: Axis
    caption: str
    by_cohort: bool = True

    def draw(self, measured: Measured) -> dict[str, FigureSpec]:
        """The figure by its name: means over cohorts, or over seeds, with Student's 95 % intervals."""
        places = list(self.over.values())
        lines: list[Line] = []
        read = measured.by_cohort if self.by_cohort else measured.numbers
        for kind in self.kinds:
            rows = [above("", "", read(of, self.effect, kind)) for of in self.over]
            low, high = [row.t_low for row in rows], [row.t_high for row in rows]
            lines.append(Line(places, [row.effect for row in rows], Series(kind), low, high, markers=True))
        over = "cohorts" if self.by_cohort else "training seeds"
        errors = Interval(f"over {over}", "by Student's t")
        spec = FigureSpec(self.name, self.title, self.x, self.y, tuple(lines), self.caption, errors)
        return {self.name: spec}

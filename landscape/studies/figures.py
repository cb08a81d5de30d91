"""Figures of a study: which pictures of which results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from landscape.base.figure import FigureSpec
from landscape.plotting import figures_of
from landscape.plotting.group_summary import summarize_by_group
from landscape.studies import ensembles
from landscape.studies.measured import ENSEMBLE, Measured

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """Figures of the results of one label, those of all seeds on shared axes.

    Attributes:
        of: Whose results: a label of `landscape.studies.On`, ``ensemble`` or a table.
        names: The figure of the analysis, or several; all if none is named.
        kinds: Kinds of models; all if none is named.
        tag: How names of files begin, after that of the study; default: ``of``.
        cohorts: Names of cohorts; all if none is named. Models of the same name in several are drawn once.
    """

    of: str
    names: str | tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    tag: str | None = None
    cohorts: tuple[str, ...] = ()

    def draw(self, measured: Measured) -> dict[str, FigureSpec]:
        """The figures by the names of their files, without ending; none if there is no result.

        Seeds of one kind are drawn together, see `landscape.plotting.group_summary.summarize_by_group`.
        """
        kinds = {m.name: m.recipe.group for m in measured.models()}
        kinds |= {name: name for part in measured.parts for name in part.averages}
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
        found = measured.results(self.of, self.kinds, self.cohorts)
        return figures_of(found) if found else []

"""Difference: all that a store knows of how two models, or two groups of them, differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.base.registry import find_recorded, named
from landscape.errors import InputError
from landscape.plotting.scales import number
from landscape.reporting.diff.changes import Change, changes_of, ranked, recorded
from landscape.reporting.diff.examples import HOW_TO_GET, Disagreement, disagreement
from landscape.reporting.diff.intervals import Estimate
from landscape.reporting.diff.layers import LayerChange, LayerRow, alike, layer_changes, layer_rows
from landscape.reporting.diff.sides import Side, sides_of
from landscape.store.contents import Contents, Section

if TYPE_CHECKING:
    import pandas as pd

    from landscape.base.analysis import Analysis
    from landscape.base.figure import FigureSpec

__all__ = ["Difference", "diff", "difference_of"]

_NAMED = 3


@dataclass(frozen=True)
class Difference:
    """How two sides of a store differ.

    Attributes:
        zoo: Name of the zoo.
        a: The first side.
        b: The second; differences are b − a.
        changes: Every number that sums up a result, the clearest difference first.
        layers: The layers that both have, that of the largest changes first.
        layer_changes: Each measure of each of these layers, in firing order.
        examples: What they say of the same examples; ``None`` if the store does not hold that.
        contents: The results of both sides.
    """

    zoo: str
    a: Side
    b: Side
    changes: tuple[Change, ...]
    layers: tuple[LayerRow, ...]
    layer_changes: tuple[LayerChange, ...]
    examples: Disagreement | None
    contents: Contents

    def sentences(self) -> list[str]:
        """What a reader should know first, in words."""
        told = [self._count(), *self._clearest(), self._of_layers(), self._of_examples()]
        return [text for text in told if text]

    def _count(self) -> str:
        known = [c for c in self.changes if c.gap.how]
        clear = sum(c.gap.clear for c in known)
        counts = " and ".join(f"{len(s.models)} model{'s' * s.several}" for s in (self.a, self.b))
        if not known:
            if self.a.several or self.b.several:
                return (
                    f"No difference has an interval: of {counts}, one side does not tell how much seeds vary."
                )
            return "No difference has an interval: no number of these results has an error."
        chance = number(0.05 * len(known))
        over = f" Intervals are over models ({counts})." if known[0].gap.how == "models" else ""
        return (
            f"Of {len(known)} numbers with an interval, {clear} differ{'s' * (clear == 1)}: their 95 %"
            f" interval leaves out 0. If nothing differed, about {chance} would by chance.{over}"
        )

    def _clearest(self) -> list[str]:
        known = [c for c in self.changes if c.gap.clear][:_NAMED]
        if not known:
            return []
        parts = [
            f"{c.section}: {c.name} {number(c.a)} → {number(c.b)} ({_signed(c.gap.value)}, 95 % interval"
            f" {_signed(c.gap.low)} to {_signed(c.gap.high)})"
            for c in known
        ]
        return [f"Clearest: {'; '.join(parts)}."]

    def _of_layers(self) -> str:
        if not self.layers:
            return (
                "The two have no layer of one name with measures, so that no layer is held against another:"
                " the figures show both by depth."
            )
        names = ", ".join(row.layer for row in self.layers[:_NAMED])
        return f"Layers that changed most: {names}."

    def _of_examples(self) -> str:
        held = self.examples
        if held is None:
            return HOW_TO_GET
        test = f" (McNemar's exact p = {number(held.p_value)})" if np.isfinite(held.p_value) else ""
        several = self.a.several or self.b.several
        a, b = ((f"more of {s.name}" if several else s.name) for s in (self.a, self.b))
        return (
            f"They disagree on {held.only_a + held.only_b} of {held.total} examples ({held.label}):"
            f" {held.only_a} where {a} {'are' if several else 'is'} right, {held.only_b} where {b}{test}."
        )

    def frame(self) -> pd.DataFrame:
        """The changes as a table of pandas, the clearest first."""
        import pandas as pd

        rows = [
            {
                "section": c.section,
                "metric": c.name,
                "unit": c.unit,
                "a": c.a,
                "b": c.b,
                "difference": c.gap.value,
                "low": c.gap.low,
                "high": c.gap.high,
                "interval": c.gap.how,
                "strength": c.gap.strength,
            }
            for c in self.changes
        ]
        columns = ["section", "metric", "unit", "a", "b", "difference", "low", "high", "interval", "strength"]
        return pd.DataFrame(rows, columns=columns)

    def figures(self) -> list[FigureSpec]:
        """The clearest differences in one figure, and the changes of layers in another."""
        from landscape.reporting.diff.pictures import difference_figures

        return difference_figures(self)

    def save(self, path: str | Path, analyses: Iterable[Analysis | str] = ()) -> Path:
        """Write the page: differences, layers, examples, and all figures of both sides on shared axes.

        Args:
            path: The page to write, complete or not at all.
            analyses: Analyses to draw beside the installed ones.

        Returns:
            Where the page is.

        Raises:
            StoreError: If it cannot be written.
        """
        from landscape.reporting.diff.page import render_difference
        from landscape.store.files import as_path, write_bytes

        target = as_path(path, "a page")
        write_bytes(target, render_difference(self, analyses).encode("utf-8", "replace"))
        return target

    def __repr__(self) -> str:
        said = "\n".join(f"  {text}" for text in self.sentences())
        return f"Difference of {self.a.name} and {self.b.name}\n{said}"

    def _repr_html_(self) -> str:
        from landscape.reporting.diff.page import short_html

        return short_html(self)


def diff(
    store: str | Path, a: str, b: str, *, analyses: Iterable[Analysis | str] = (), zoo: str | None = None
) -> Difference:
    """How two models, or two groups of models, of a store differ.

    Every number that sums up a result is held against the same of the other side, the clearest difference
    first. The interval is 95 %: over models where a side has several (Welch's), over the same examples where
    results hold a number of each (Student's, of pairs), else from the errors that both numbers carry (Zou and
    Donner 2008).

    Args:
        store: Folder of the results.
        a: A model, a group, or a pattern such as ``"vit-*"``.
        b: Another; differences are b − a.
        analyses: Analyses of your own, as objects or ``package.module:attribute``.
        zoo: Which zoo, by name, of a store that several manifests share.

    Returns:
        The differences: ``changes``, ``layers``, ``examples``, ``sentences()``, ``frame()`` for pandas,
        ``figures()``, and ``save("diff.html")`` for the page.

    Raises:
        StoreError: If the store cannot be read.
        InputError: If one of the two is not there, or they share a model.
    """
    from landscape.store.contents import read_contents

    return difference_of(read_contents(store, zoo), a, b, analyses)


def _signed(value: float) -> str:
    return f"+{number(value)}" if value > 0 else number(value)


def difference_of(contents: Contents, a: str, b: str, analyses: Iterable[Analysis | str] = ()) -> Difference:
    """Compare two models, or groups, of a store that was read.

    Raises:
        InputError: If one is not there, both share a model, or an analysis cannot be loaded.
    """
    one, other = sides_of(contents, a, b)
    own = named(analyses)
    changes = list(recorded({m.name: m.metrics for m in contents.models}, one, other))
    by_layer: list[LayerChange] = []
    similar: dict[str, Estimate] = {}
    for section in contents.sections:
        try:
            analysis = find_recorded(section.analysis, own)
        except InputError:  # not installed here: its numbers mean nothing to us
            continue
        said, _ = analysis.schema.other_version(analysis.name, section.results)
        if said:
            continue
        changes += changes_of(section.label, analysis, section.results, one, other)
        by_layer += layer_changes(section.label, analysis, section.results, one, other)
        similar = similar or alike(section.results, one, other)
    return Difference(
        zoo=contents.name,
        a=one,
        b=other,
        changes=tuple(ranked(changes)),
        layers=tuple(layer_rows(by_layer, similar)),
        layer_changes=tuple(by_layer),
        examples=disagreement(contents.sections, one, other),
        contents=_of_both(contents, one, other),
    )


def _of_both(contents: Contents, a: Side, b: Side) -> Contents:
    """What a store holds of both sides: of their models, of themselves, and of pairs of theirs."""
    names = {*a.models, *b.models}
    subjects = {*names, a.name, b.name, *(f"{x} ~ {y}" for x in names for y in names)}
    models = [m for m in contents.models if m.name in names]

    def kept(section: Section) -> Section:
        return replace(section, results={n: ds for n, ds in section.results.items() if n in subjects})

    sections = [kept(s) for s in contents.sections]
    return replace(
        contents,
        models=models,
        sections=[s for s in sections if s.results],
        failures=[f for f in contents.failures if f.model in names],
        missing=0,
        others=(),
    )

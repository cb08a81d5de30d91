"""Layers that changed most: every measure that two models have of the same layer, on one scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.reporting.diff.changes import error_names, estimate, is_error
from landscape.reporting.diff.intervals import Estimate, Gap, between, of_samples

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.analysis import Analysis
    from landscape.reporting.diff.sides import Side

__all__ = ["LayerChange", "LayerRow", "alike", "layer_changes", "layer_rows"]

_OF_LAYERS = ("layer", "unit")
_NO_MEASURES = ("depth", "height", "width", "channels", "dimension", "p_value", "p_corrected")
_MOST_KINDS = 4


@dataclass(frozen=True)
class LayerChange:
    """One measure of one layer.

    Attributes:
        layer: Name of the layer.
        measure: ``section: variable``, and which of a few kinds.
        a: On the first side; of several models their mean.
        b: On the second.
        gap: b − a with its interval.
        size: The difference over the spread of the measure over the layers of both sides.
    """

    layer: str
    measure: str
    a: float
    b: float
    gap: Gap
    size: float


@dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
        layer: Its name.
        size: Root mean square of the sizes of its changes.
        clear: How many of its changes have an interval that leaves out zero.
        of: How many have an interval.
        largest: The change of largest size.
        alike: Kernel alignment of the two models at this layer, where the store has it.
    """

    layer: str
    size: float
    clear: int
    of: int
    largest: LayerChange
    alike: Estimate | None = None


def layer_changes(
    label: str, analysis: Analysis, results: Mapping[str, xr.Dataset], a: Side, b: Side
) -> Iterator[LayerChange]:
    """The changes of the measures that a section has of each layer; none if the sides share no layer."""
    first, second = a.of(results), b.of(results)
    if not first or not second or analysis.scope != "checkpoint":
        return
    for v in analysis.schema.variables:
        axis = next((d for d in _OF_LAYERS if d in v.dims), None)
        if v.kind != "float" or axis is None or v.name in _NO_MEASURES or is_error(v.name, analysis.schema):
            continue
        if not all(v.name in ds and axis in ds.coords for ds in (*first, *second)):
            continue
        for kind, part in _kinds(v.name, v.dims, axis, first[0]):
            measure = f"{label}: {v.name.replace('_', ' ')}{part}"
            one, other = ([_by_layer(ds, v.name, axis, kind) for ds in side] for side in (first, second))
            yield from _compared(measure, one, other, a.several or b.several)


def _kinds(name: str, dims: Sequence[str], axis: str, ds: xr.Dataset) -> Iterator[tuple[dict[str, Any], str]]:
    """The places along a second dimension of a few named kinds; one for none, nothing for longer ones."""
    others = [d for d in dims if d != axis]
    if not others:
        yield {}, ""
    elif len(others) == 1 and ds.sizes[others[0]] <= _MOST_KINDS and others[0] in ds.coords:
        for value in ds[others[0]].values:
            yield {others[0]: value}, f", {value}"


def _by_layer(ds: xr.Dataset, name: str, axis: str, kind: Mapping[str, Any]) -> dict[str, Estimate]:
    held = [n for n in (name, *error_names(name)) if n in ds]
    part = ds[held]
    for dim, value in kind.items():
        if value not in part[dim].values:
            return {}
        part = part.sel({dim: value})
    return {str(layer): estimate(part, name, (i,)) for i, layer in enumerate(ds[axis].values)}


def _compared(measure: str, first: Any, second: Any, over_models: bool) -> Iterator[LayerChange]:
    names = [n for n in first[0] if all(n in table for table in (*first, *second))]
    values = {n: ([t[n].value for t in first], [t[n].value for t in second]) for n in names}
    spread = (
        float(np.nanstd([v for pair in values.values() for side in pair for v in side])) if names else 0.0
    )
    if not spread > 0:
        return
    for name in names:
        gap = of_samples(*values[name]) if over_models else between(first[0][name], second[0][name])
        if np.isfinite(gap.value):
            a, b = (float(np.nanmean(side)) for side in values[name])
            yield LayerChange(name, measure, a, b, gap, gap.value / spread)


def alike(results: Mapping[str, xr.Dataset], a: Side, b: Side) -> dict[str, Estimate]:
    """Kernel alignment of the layers of one name in two single models, from a result that compares them."""
    if a.several or b.several:
        return {}
    for ds in results.values():
        if "cka" not in ds or not {"model_a", "layer_a", "model_b", "layer_b"} <= set(ds.variables):
            continue
        rows = _places(ds, "a", a.models[0])
        columns = _places(ds, "b", b.models[0])
        shared = [n for n in rows if n in columns]
        if shared:
            return {n: estimate(ds, "cka", (rows[n], columns[n])) for n in shared}
    return {}


def _places(ds: xr.Dataset, side: str, model: str) -> dict[str, int]:
    pairs = zip(ds[f"model_{side}"].values, ds[f"layer_{side}"].values, strict=True)
    return {str(layer): i for i, (name, layer) in enumerate(pairs) if str(name) == model}


def layer_rows(changes: Sequence[LayerChange], similar: Mapping[str, Estimate]) -> list[LayerRow]:
    """One row for each layer, that of the largest changes first."""
    of: dict[str, list[LayerChange]] = {}
    for change in changes:
        of.setdefault(change.layer, []).append(change)
    rows = [
        LayerRow(
            layer,
            float(np.sqrt(np.mean([c.size**2 for c in held]))),
            sum(c.gap.clear for c in held),
            sum(bool(c.gap.how) for c in held),
            max(held, key=lambda c: abs(c.size)),
            similar.get(layer),
        )
        for layer, held in of.items()
    ]
    return sorted(rows, key=lambda row: -row.size)

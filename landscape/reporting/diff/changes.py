"""Changes: every number that sums up a result, of both sides, with their difference and its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.reporting.diff.intervals import Estimate, Gap, between, of_pairs, of_samples

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.analysis import Analysis
    from landscape.base.metric import Metric
    from landscape.base.schema import Schema
    from landscape.reporting.diff.sides import Side

__all__ = ["Change", "changes_of", "error_names", "estimate", "is_error", "ranked", "recorded", "summary_of"]

_ERRORS = ("_se", "_interval", "_low", "_high")
_PER_EXAMPLE = {"nll": "example_nll", "accuracy": "example_correct", "entropy": "example_entropy"}
"""Means over examples, and the numbers of each example that a result holds of them."""


@dataclass(frozen=True)
class Change:
    """One number on both sides.

    Attributes:
        section: Label of its section; ``training`` for recorded numbers.
        name: The metric, or the variable.
        unit: Its unit.
        meaning: One phrase.
        a: On the first side; of several models their mean.
        b: On the second.
        gap: b − a with its interval.
    """

    section: str
    name: str
    unit: str
    meaning: str
    a: float
    b: float
    gap: Gap

    @property
    def relative(self) -> float:
        """The difference over the mean size of both; NaN if both are zero."""
        size = (abs(self.a) + abs(self.b)) / 2
        return float(self.gap.value / size) if size > 0 else float("nan")


def error_names(name: str) -> tuple[str, ...]:
    """What the errors of a variable may be called."""
    return tuple(name + ending for ending in _ERRORS)


def is_error(name: str, schema: Schema) -> bool:
    """Whether a variable is the error of another."""
    known = {v.name for v in schema.variables}
    return any(name.endswith(e) and name.removesuffix(e) in known for e in _ERRORS)


def estimate(ds: xr.Dataset, name: str, index: Any = ()) -> Estimate:
    """A number of a result with its 95 % interval, from whichever error the result holds of it.

    Args:
        ds: A result.
        name: The variable.
        index: Its place, for variables with dimensions.
    """
    value = float(ds[name].values[index])
    if f"{name}_interval" in ds:
        held = ds[f"{name}_interval"]
        ends = (
            held.transpose("bound", ...).values[(slice(None), *np.atleast_1d(index))] if index != () else held
        )
        low, high = (float(e) for e in np.asarray(ends))
        return Estimate(value, low, high)
    if f"{name}_low" in ds and f"{name}_high" in ds:
        return Estimate(
            value, float(ds[f"{name}_low"].values[index]), float(ds[f"{name}_high"].values[index])
        )
    if f"{name}_se" in ds:
        return Estimate.of_error(value, float(ds[f"{name}_se"].values[index]))
    return Estimate(value)


def changes_of(
    label: str, analysis: Analysis, results: Mapping[str, xr.Dataset], a: Side, b: Side
) -> Iterator[Change]:
    """The changes of one section: its metrics, and its single numbers that have an error.

    A metric that is such a number is shown once, under the metric's name and with the number's error.
    """
    first, second = a.of(results), b.of(results)
    if not first or not second:
        return
    scalars = [v for v in analysis.schema.variables if not v.dims and v.kind in ("float", "int")]
    scalars = [v for v in scalars if not is_error(v.name, analysis.schema)]
    scalars = [v for v in scalars if all(_has_error(ds, v.name) for ds in (*first, *second))]
    left = {v.name: v for v in scalars}
    summaries = [[summary_of(analysis, ds) for ds in side] for side in (first, second)]
    shared = [n for n in summaries[0][0] if all(n in s for side in summaries for s in side)]
    # Of groups the spread of models counts, also where one model of each was measured; of groups that are
    # subjects themselves the errors of both.
    over_models = analysis.scope == "checkpoint" and (a.several or b.several)
    for name in shared:
        metric = summaries[0][0][name]
        same = _same(name, [v for v in left if _is_variable(v, name, first, second, summaries)])
        if same is not None:
            del left[same]
        values = [[float(s[name].value) for s in side] for side in summaries]
        held = [_of_metric(s[name]) for side in summaries for s in side]
        gap = _gap(first, second, same, values, over_models, held)
        yield Change(label, name, metric.unit, metric.meaning, _mean(values[0]), _mean(values[1]), gap)
    for name, v in left.items():
        values = [[float(ds[name]) for ds in side] for side in (first, second)]
        gap = _gap(first, second, name, values, over_models)
        yield Change(label, name, v.unit, v.meaning, _mean(values[0]), _mean(values[1]), gap)


def _has_error(ds: xr.Dataset, name: str) -> bool:
    return name in ds and bool(np.isfinite(estimate(ds, name).low))


def summary_of(analysis: Analysis, ds: xr.Dataset) -> dict[str, Any]:
    """The metrics of a result that are numbers, by name; none of one that its analysis cannot sum up."""
    try:
        metrics = analysis.summary(ds)
    except Exception:  # a result of an older version may lack what the summary reads
        return {}
    return {m.name: m for m in metrics if m.number is not None}


def _is_variable(variable: str, metric: str, first: Any, second: Any, summaries: Any) -> bool:
    """Whether a metric is a variable of the results, to the last bit, in each of them."""
    pairs = zip([*first, *second], [*summaries[0], *summaries[1]], strict=True)
    return all(float(ds[variable]) == float(s[metric].value) for ds, s in pairs)


def _same(metric: str, variables: Sequence[str]) -> str | None:
    """The one variable that a metric is; of several that are equal by chance, that of its name."""
    words = metric.lower().replace(" ", "_")
    return next((v for v in variables if v == words), variables[0] if len(variables) == 1 else None)


def _of_metric(metric: Metric) -> Estimate:
    """A metric with the interval that it carries itself."""
    value = float(metric.value)
    return Estimate(value, value - metric.error, value + metric.error)


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")


def _gap(
    first: Sequence[Any],
    second: Sequence[Any],
    variable: str | None,
    values: Any,
    over_models: bool,
    held: Sequence[Estimate] = (),
) -> Gap:
    """The difference with the interval that says most: over models, over examples, or of both errors."""
    if over_models or len(first) > 1 or len(second) > 1:
        return of_samples(*values)
    a, b = first[0], second[0]
    each = _PER_EXAMPLE.get(str(variable))
    if each is not None and each in a and each in b and np.array_equal(a["example"], b["example"]):
        return of_pairs(a[each].values, b[each].values)
    if variable is None:  # a metric's own error, if it has one
        return between(*held)
    return between(estimate(a, variable), estimate(b, variable))


def recorded(metrics: Mapping[str, Mapping[str, Any]], a: Side, b: Side) -> Iterator[Change]:
    """The changes of the numbers that training recorded of the models, by name."""
    sides = [[metrics.get(m, {}) for m in side.models] for side in (a, b)]
    for name in dict.fromkeys(n for side in sides for held in side for n in held):
        values = [[float(h[name]) for h in side if _is_number(h.get(name))] for side in sides]
        if all(values):
            gap = of_samples(*values)
            yield Change(
                "training",
                name.replace("_", " "),
                "1",
                "recorded in training",
                _mean(values[0]),
                _mean(values[1]),
                gap,
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def ranked(changes: Sequence[Change]) -> list[Change]:
    """The clearest first: by difference over half its interval; then, without one, by relative size.

    What is the same number on both sides, without an error, is left out: mostly counts of examples.
    """

    def size(change: Change) -> tuple[bool, float]:
        strength = abs(change.gap.strength)
        known = bool(np.isfinite(strength))
        value = strength if known else abs(change.relative)
        return (not known, -value if np.isfinite(value) else 0.0)

    told = [c for c in changes if np.isfinite(c.gap.value) and (c.gap.value != 0 or c.gap.high > c.gap.low)]
    return sorted(told, key=size)

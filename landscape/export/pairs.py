"""Pairs of models in groups: how alike, or how far apart, models of one group are, and those of two.

Pairs that share a model are not independent, and few models make many pairs. So their numbers are summed up
by mean and range, without an interval or a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from landscape.base.registry import find_recorded
from landscape.errors import InputError
from landscape.export.findings import models_apart
from landscape.export.sentences import plain_name

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.analysis import Analysis
    from landscape.store.contents import Contents

__all__ = ["BETWEEN", "WITHIN", "PairNumber", "Spread", "pair_numbers", "spreads"]

BETWEEN = "between groups"
WITHIN = "within a group"

_ERRORS = ("_se", "_interval", "_low", "_high")
_JUDGEMENTS = ("p_value", "within_ends", "expected_consistency")
"""What is said of a pair that is no measure of it: tests, and what chance would give."""

_MOST_GROUPS = 6
"""Groups that have a column each; of more, all pairs within one are together."""


@dataclass(frozen=True)
class PairNumber:
    """One number of pairs of models.

    Attributes:
        section: Label of the section whose results hold it.
        name: Of the number.
        unit: Its unit.
        meaning: One phrase.
        values: By pair of models.
    """

    section: str
    name: str
    unit: str
    meaning: str
    values: dict[frozenset[str], float]


@dataclass(frozen=True)
class Spread:
    """Some pairs: their mean, the lowest and highest of them, and how many they are."""

    mean: float
    low: float
    high: float
    pairs: int


def pair_numbers(contents: Contents) -> list[PairNumber]:
    """Every number of pairs of models that a store holds: in matrices over models, and of single pairs.

    Of a measure that is not symmetric a pair has the mean of both ways. What several results say of the same
    pair counts once.
    """
    found: dict[tuple[str, str], PairNumber] = {}
    models = {m.name for m in models_apart(contents.models)}
    for section in contents.sections:
        try:
            analysis = find_recorded(section.analysis)
        except InputError:  # not installed here
            continue
        for subject, ds in section.results.items():
            told = _of_pair(analysis, subject, ds) if analysis.scope == "pair" else _of_group(analysis, ds)
            for name, unit, meaning, values in told:
                known = found.setdefault(
                    (section.label, name), PairNumber(section.label, name, unit, meaning, {})
                )
                for pair, value in values.items():
                    if pair <= models and np.isfinite(value):
                        known.values.setdefault(pair, value)
    return [number for number in found.values() if number.values]


def spreads(number: PairNumber, groups: Mapping[str, str]) -> dict[str, Spread]:
    """The pairs within each group, and those between groups; what has no pair is left out.

    Args:
        number: A number of pairs.
        groups: The group of each model.

    Returns:
        By group, with `BETWEEN` last; of more than six groups, all pairs within one are ``within a group``.
    """
    many = len(set(groups.values())) > _MOST_GROUPS
    parts: dict[str, list[float]] = {group: [] for group in dict.fromkeys(groups.values())}
    if many:
        parts = {WITHIN: []}
    parts[BETWEEN] = []
    for pair, value in number.values.items():
        of = {groups[model] for model in pair}
        where = BETWEEN if len(of) > 1 else WITHIN if many else next(iter(of))
        parts[where].append(value)
    return {part: Spread(float(np.mean(v)), min(v), max(v), len(v)) for part, v in parts.items() if v}


_Told = Iterator[tuple[str, str, str, dict[frozenset[str], float]]]


def _of_pair(analysis: Analysis, subject: str, ds: xr.Dataset) -> _Told:
    """What sums up the result of one pair."""
    pair = frozenset(subject.split(" ~ "))
    try:
        metrics = analysis.summary(ds) if len(pair) == 2 else ()
    except Exception:  # a result of an older version may lack what the summary reads
        return
    for m in metrics:
        if m.number is not None:
            yield m.name, m.unit, m.meaning, {pair: m.number}


def _of_group(analysis: Analysis, ds: xr.Dataset) -> _Told:
    """The matrices over models of a result, of data and quantity the first."""
    if "model" not in ds or "other" not in ds:
        return
    names, others = ([str(n) for n in ds[dim].values] for dim in ("model", "other"))
    if names != others:
        return
    for variable in analysis.schema.variables:
        if (
            not {"model", "other"} <= set(variable.dims)
            or variable.kind != "float"
            or variable.name not in ds
        ):
            continue
        if variable.name.endswith(_ERRORS) or variable.name in _JUDGEMENTS:
            continue
        held = ds[variable.name]
        held = held.isel({dim: 0 for dim in ("split", "quantity") if dim in held.dims})
        unit = variable.unit
        if unit == "of quantity" and "quantity_unit" in ds:
            unit = str(ds["quantity_unit"].values[0])
        for named, matrix in _slices(held):
            name = ", ".join([plain_name(variable.name), *named])
            yield name, unit, variable.meaning, _symmetric(matrix, names)


def _slices(held: xr.DataArray) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """The matrices over models along what other dimension there is, one at most."""
    more = [str(dim) for dim in held.dims if dim not in ("model", "other")]
    if not more:
        yield (), held.transpose("model", "other").values
    elif len(more) == 1 and more[0] in held.coords:
        for at in held[more[0]].values:
            yield (str(at),), held.sel({more[0]: at}).transpose("model", "other").values


def _symmetric(matrix: np.ndarray, names: Sequence[str]) -> dict[frozenset[str], float]:
    values = {}
    for (i, a), (j, b) in combinations(enumerate(names), 2):
        both = [v for v in (matrix[i, j], matrix[j, i]) if np.isfinite(v)]
        values[frozenset((a, b))] = float(np.mean(both)) if both else float("nan")
    return values

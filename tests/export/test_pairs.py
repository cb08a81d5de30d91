"""Numbers of pairs of models, within groups and between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from landscape.export.pairs import BETWEEN, WITHIN, PairNumber, pair_numbers, spreads
from landscape.store.contents import Contents, ModelRecord, Section


def similar(*models: str) -> xr.Dataset:
    """Similarities of 1 over 1 + the distance in the list, with their errors."""
    place = np.arange(len(models))
    near = 1.0 / (1.0 + np.abs(place[:, None] - place))
    dims = "model", "other"
    data = {"output_cka": (dims, near), "output_cka_se": (dims, 0 * near), "matched_cka": (dims, near)}
    return xr.Dataset(data, {name: list(models) for name in dims})


def test_matrices_become_pairs_and_groups() -> None:
    """Oracle: similarities of 1/(1 + distance in the list), by hand; three models of two groups."""
    models = [ModelRecord("a0", "a", 0), ModelRecord("a1", "a", 1), ModelRecord("b0", "b", 0)]
    ds = similar("a0", "a1", "b0")
    skew = ds["output_cka"].values.copy()
    skew[0, 1] += 0.2  # of a measure that is not symmetric the mean counts
    ds["output_cka"] = ("model", "other"), skew
    again = similar("a0", "a1")  # known from the first result
    contents = Contents("z", models, [Section("cka", "cka", {}, {"all": ds, "a": again})], [], 0)
    found = {n.name: n for n in pair_numbers(contents)}
    assert set(found) == {"output cka", "matched cka"}
    told = spreads(found["output cka"], {m.name: m.group for m in models})
    assert list(told) == ["a", BETWEEN]
    assert (told["a"].mean, told["a"].pairs) == (pytest.approx(0.6), 1)
    between = told[BETWEEN]
    assert (between.low, between.high, between.pairs) == (pytest.approx(1 / 3), 0.5, 2)
    assert between.mean == pytest.approx((0.5 + 1 / 3) / 2)
    # checkpoints that a training passed through, and predictives, are no models of their own
    run = [ModelRecord("a0", "a", 0, {"epoch": 1}), ModelRecord("a1", "a", 0, {"epoch": 2}), models[2]]
    (pairs,) = {frozenset(n.values) for n in pair_numbers(replace(contents, models=run))}
    assert pairs == {frozenset(("a1", "b0"))}


def test_of_many_groups_all_pairs_within_one_are_together() -> None:
    """Oracle: by hand; seven groups of two."""
    groups = {f"{g}{i}": g for g in "abcdefg" for i in "01"}
    values = {frozenset((f"{g}0", f"{g}1")): float(k) for k, g in enumerate("abcdefg")}
    number = PairNumber("s", "n", "1", "", values | {frozenset(("a0", "b0")): 9.0})
    told = spreads(number, groups)
    assert list(told) == [WITHIN, BETWEEN]
    assert (told[WITHIN].mean, told[WITHIN].low, told[WITHIN].high, told[WITHIN].pairs) == (3.0, 0.0, 6.0, 7)
    assert told[BETWEEN].mean == 9.0 and np.isfinite(told[BETWEEN].low)

"""Sweeps over a plane whose loss is a formula."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from landscape.analyses._shared.sweep import Sweep, join, stack
from landscape.base.ledger import MemoryLedger
from landscape.store.ledger import FolderLedger

X, Y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 7)


def loss(x, y):
    return (x - 0.2) ** 2 + 3 * y**2


class Formula:
    """Stands for the evaluator of a problem, and counts."""

    def __init__(self):
        self.calls = 0

    def values(self, step):
        self.calls += 1
        return {"loss": loss(*step), "both": np.array(step)}

    def values_of(self, state):
        return {"loss": state}


def test_a_grid_is_the_formula_at_each_point_and_progress_rises_to_one():
    """Oracle: the formula on the whole grid at once."""
    seen = []
    fields = Sweep(Formula(), MemoryLedger(), seen.append, X.size * Y.size).grid(X, Y)
    np.testing.assert_array_equal(fields["loss"], loss(X[None], Y[:, None]))
    np.testing.assert_array_equal(fields["both"][2, 3], [X[3], Y[2]])
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_a_refined_grid_is_the_formula_where_it_was_evaluated():
    """Oracle: the formula; the count of evaluations; NaN elsewhere."""
    formula = Formula()
    fields, known = Sweep(formula, MemoryLedger(), lambda f: None, 40).refined(X, Y, 40, np.asarray)
    assert known.sum() == formula.calls == 40
    np.testing.assert_array_equal(fields["loss"][known], loss(X[None], Y[:, None])[known])
    assert np.isnan(fields["loss"][~known]).all() and np.isnan(fields["both"][~known]).all()


def test_a_second_sweep_takes_over_what_the_first_has_kept(tmp_path):
    """Oracle: the first sweep's bits; no evaluation is left to do."""
    first = Sweep(Formula(), FolderLedger(tmp_path / "p"), lambda f: None, 40).refined(X, Y, 40, np.asarray)
    formula = Formula()
    again = Sweep(formula, FolderLedger(tmp_path / "p"), lambda f: None, 40).refined(X, Y, 40, np.asarray)
    assert formula.calls == 0
    np.testing.assert_array_equal(again[0]["loss"], first[0]["loss"])
    np.testing.assert_array_equal(again[1], first[1])


@pytest.mark.parametrize("count", [1, 4, 5])
def test_checkpoints_are_measured_in_order(count):
    """Oracle: each marker's own loss, whatever the pieces they come in."""
    markers = [SimpleNamespace(state=float(i)) for i in range(count)]
    found = Sweep(Formula(), MemoryLedger(), lambda f: None, count).checkpoints(markers)
    np.testing.assert_array_equal(found["loss"], np.arange(count))


def test_pieces_are_stacked_and_joined_by_name():
    """Oracle: NumPy on the values written out."""
    rows = stack([{"a": 1.0, "b": [1, 2]}, {"a": 2.0, "b": [3, 4]}])
    np.testing.assert_array_equal(rows["b"], [[1, 2], [3, 4]])
    np.testing.assert_array_equal(join([rows, rows])["a"], [1.0, 2.0, 1.0, 2.0])

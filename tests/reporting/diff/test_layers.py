"""Layers that changed most."""

from __future__ import annotations

import numpy as np
import pytest

import landscape
from landscape.reporting.diff.layers import alike, layer_changes, layer_rows
from landscape.reporting.diff.sides import sides_of


def of(contents, a, b, label="lesion"):
    section = next(s for s in contents.sections if s.label == label)
    return list(layer_changes(label, landscape.analyses()[label], section.results, *sides_of(contents, a, b)))


def test_sizes_are_differences_over_the_spread_of_the_layers(two_groups):
    """Oracle: changes 0, 0.5, 0, −0.1 over the standard deviation of the eight values, by hand."""
    changes = of(two_groups, "plain-s0", "smooth-s0")
    assert [c.layer for c in changes] == ["stem", "block.0", "block.1", "head"]
    spread = np.std([0.1, 0.2, 0.3, 0.4, 0.1, 0.7, 0.3, 0.3])
    assert [c.size for c in changes] == pytest.approx(np.array([0, 0.5, 0, -0.1]) / spread)
    assert [c.gap.clear for c in changes] == [False, True, False, True]  # ±1.96·√2·0.02 = 0.055
    rows = layer_rows(changes, {})
    assert [r.layer for r in rows][:2] == ["block.0", "head"] and (rows[0].clear, rows[0].of) == (1, 1)
    assert rows[0].largest.measure == "lesion: delta loss, mean"


def test_of_groups_the_means_with_an_interval_over_models(two_groups):
    """Oracle: seeds that differ by 0.01 each; the mean difference of the second layer is 0.5."""
    change = of(two_groups, "plain", "smooth")[1]
    assert change.gap.value == pytest.approx(0.5) and change.gap.how == "models" and change.gap.clear


def test_layers_of_other_names_are_not_compared(two_groups):
    """Oracle: no layer in common, no change; and analyses of groups have none."""
    section = next(s for s in two_groups.sections if s.label == "lesion")
    other = section.results["smooth-s0"].assign_coords(unit=["w", "x", "y", "z"])
    a, b = sides_of(two_groups, "plain-s0", "smooth-s0")
    results = {**section.results, "smooth-s0": other}
    assert not list(layer_changes("lesion", landscape.analyses()["lesion"], results, a, b))
    cka = next(s for s in two_groups.sections if s.label == "cka")
    assert not list(layer_changes("cka", landscape.analyses()["cka"], cka.results, a, b))


def test_alignment_of_each_layer_with_itself(two_groups):
    """Oracle: 0.9 between the same layers of two models in the fixture, with an error of 0.01."""
    cka = next(s for s in two_groups.sections if s.label == "cka").results
    held = alike(cka, *sides_of(two_groups, "plain-s0", "smooth-s0"))
    assert list(held) == ["stem", "block.0", "block.1", "head"]
    assert held["head"].value == 0.9 and held["head"].low == pytest.approx(0.9 - 1.959964 * 0.01)
    assert alike(cka, *sides_of(two_groups, "plain", "smooth")) == {}

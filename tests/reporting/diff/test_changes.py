"""Numbers of both sides."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import landscape
from landscape.base.metric import Metric
from landscape.base.schema import Schema
from landscape.reporting.diff.changes import changes_of, estimate, ranked, recorded
from landscape.reporting.diff.intervals import Gap
from landscape.reporting.diff.sides import sides_of
from landscape.store.contents import Contents, ModelRecord


def changes(contents, label, a, b):
    section = next(s for s in contents.sections if s.label == label)
    found = changes_of(label, landscape.analyses()[label], section.results, *sides_of(contents, a, b))
    return {c.name: c for c in found}


def test_the_same_examples_are_compared_in_pairs(two_groups):
    """Oracle: right answers by hand: 5 of 8 and 6 of 8, three pairs that differ by ±1."""
    accuracy = changes(two_groups, "calibration", "plain-s0", "smooth-s0")["accuracy"]
    assert (accuracy.a, accuracy.b, accuracy.gap.how) == (0.625, 0.75, "pairs")
    apart = np.array([0, 0, 1, 0, 0, 1, 0, -1.0])
    half = 2.3646242510102993 * apart.std(ddof=1) / np.sqrt(8)  # Student's t of 7 degrees of freedom
    assert (accuracy.gap.low, accuracy.gap.high) == pytest.approx((0.125 - half, 0.125 + half))


def test_other_numbers_by_the_errors_of_both_and_groups_by_their_models(two_groups):
    """Oracle: traces 10 and 16 with errors of 0.5; groups of 10, 13 and 16, 19."""
    trace = changes(two_groups, "density", "plain-s0", "smooth-s0")["tr (SLQ)"]
    assert trace.gap.how == "errors"
    assert trace.gap.high - trace.gap.value == pytest.approx(1.959964 * np.sqrt(0.5))
    both = changes(two_groups, "density", "plain", "smooth")["tr (SLQ)"]
    assert (both.a, both.b, both.gap.value, both.gap.how) == (11.5, 17.5, 6.0, "models")


def test_a_metric_and_its_variable_are_one_row(two_groups):
    """Oracle: the summary calls the variable ``trace`` "tr (SLQ)"."""
    assert "trace" not in changes(two_groups, "density", "plain-s0", "smooth-s0")


def test_errors_of_every_form_are_found(two_groups):
    """Oracle: the numbers of the fixture; an interval by its bounds, an error as ±1.96 of it."""
    density = next(s for s in two_groups.sections if s.label == "density").results["plain-s0"]
    held = estimate(density, "density", (3,))
    assert held.high - held.value == pytest.approx(0.04)
    calibrated = next(s for s in two_groups.sections if s.label == "calibration").results["plain-s0"]
    assert estimate(calibrated, "accuracy").low == pytest.approx(0.425)
    several = calibrated["bin_accuracy_interval"]
    assert np.isfinite(estimate(calibrated, "bin_accuracy", (0,)).low) and several.dims == ("bound", "bin")
    lesion = next(s for s in two_groups.sections if s.label == "lesion").results["plain-s0"]
    assert estimate(lesion, "delta_loss", (0, 0)).low == pytest.approx(0.1 - 1.959964 * 0.02)
    assert np.isnan(estimate(lesion, "loss").low)


def test_the_clearest_first_then_the_largest_without_an_interval(two_groups):
    """Oracle: strengths and relative sizes by hand; equal numbers without an error are left out."""
    made = changes(two_groups, "density", "plain-s0", "smooth-s0")["tr (SLQ)"]

    def change(name, a, b, gap):
        return type(made)("s", name, "1", "", a, b, gap)

    rows = [
        change("same", 3.0, 3.0, Gap(0.0)),
        change("small", 1.0, 1.1, Gap(0.1)),
        change("large", 1.0, 3.0, Gap(2.0)),
        change("weak", 1.0, 2.0, Gap(1.0, -1.0, 3.0, "errors")),
        change("clear", 1.0, 2.0, Gap(1.0, 0.9, 1.1, "errors")),
    ]
    assert [c.name for c in ranked(rows)] == ["clear", "weak", "large", "small"]
    assert np.isnan(change("zero", 0.0, 0.0, Gap(0.0)).relative)


def test_recorded_numbers(two_groups):
    """Oracle: the accuracies of the fixture; words and truth values are no numbers."""
    a, b = sides_of(two_groups, "plain", "smooth")
    metrics = {m.name: {**m.metrics, "optimizer": "sgd", "done": True} for m in two_groups.models}
    (row,) = recorded(metrics, a, b)
    assert (row.name, row.a, row.b) == ("test accuracy", 0.625, 0.8125)


def test_a_metric_that_is_no_variable_has_its_own_error():
    """Oracle: two half widths of 3 and 4 together, by Pythagoras; without one there is no interval."""

    class Sum:
        scope, schema = "checkpoint", Schema(version=1, variables=())

        @staticmethod
        def summary(ds):
            value = float(ds)
            return [Metric("sure", value, error=value), Metric("unsure", value)]

    contents = Contents("two", [ModelRecord("a", "", 0), ModelRecord("b", "", 1)], [], [], 0)
    results = {name: xr.DataArray(value) for name, value in (("a", 3.0), ("b", 4.0))}
    sure, unsure = changes_of("sum", Sum(), results, *sides_of(contents, "a", "b"))
    assert (sure.gap.low, sure.gap.high, sure.gap.how) == (1 - 5, 1 + 5, "errors")
    assert np.isnan(unsure.gap.low) and unsure.gap.value == 1

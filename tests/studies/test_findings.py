from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import xarray as xr
from study_models import RESULT, trained

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.errors import InputError
from landscape.studies.averages import Average
from landscape.studies.claims import above, contrast
from landscape.studies.data import Data
from landscape.studies.findings import Finding
from landscape.studies.measured import Measured, Part

NUMBERS = {"a": [1.0, 1.5, 1.25], "b": [0.5, 0.25, 0.0]}


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    models = [trained(kind, seed, tmp_path) for kind in NUMBERS for seed in range(3)]
    results = {m.name: xr.Dataset({"x": NUMBERS[m.recipe.group][m.seed]}) for m in models}
    return Measured([Part("", models, Data.digits(10, 5), {"x": results})])


def _x(ds: xr.Dataset) -> float:
    return float(ds["x"])


def test_two_kinds_are_contrasted(measured: Measured):
    """Oracle: the contrast of the numbers put in, which has tests of its own."""
    finding = Finding("c", _x, "x", more="a", than="b", unit="m", scale=2, note="n")
    want = contrast("c", "p", [2.0, 3.0, 2.5], [1.0, 0.5, 0.0], unit="m", note="n")
    assert asdict(finding.judge(measured, "p")) == asdict(want)
    other = Finding("c", _x, "x", more="a", than="b", than_effect=lambda ds: 10 * _x(ds), paper="q")
    assert asdict(other.judge(measured, "p")) == asdict(contrast("c", "q", NUMBERS["a"], [5.0, 2.5, 0.0]))


def test_one_kind_against_zero(measured: Measured):
    """Oracle: the claim on the numbers put in; their opposites if they are said to be negative."""
    assert asdict(Finding("c", _x, "x", above_zero="a").judge(measured, "p")) == asdict(
        above("c", "p", NUMBERS["a"])
    )
    opposite = Finding("c", _x, "x", below_zero="a").judge(measured, "p")
    assert (opposite.effect, opposite.verdict) == (-1.25, "not reproduced")


def test_a_note_on_sizes(measured: Measured):
    """Oracle: 784 · 10 weights and 10 biases; epochs and loss as put in."""
    finding = Finding("c", _x, "x", more="a", than="b", sizes=True)
    size = f"7.85k parameters, {RESULT.epochs} epochs, training loss 0.25"
    assert finding.judge(measured, "p").note == f"a: {size}; b: {size}"


@pytest.mark.parametrize(
    "kinds",
    [
        {},
        {"more": "a"},
        {"more": "a", "than": "b", "above_zero": "a"},
        {"above_zero": "a", "below_zero": "b"},
    ],
)
def test_a_finding_names_two_kinds_or_one(kinds):
    """Oracle: the sentence."""
    with pytest.raises(InputError, match="must name either two kinds of models"):
        Finding("c", _x, "x", **kinds)


def test_kinds_are_paired_by_cohort(tmp_path: Path):
    """Oracle: the claim on differences of numbers put in: means over seeds, and of an average its own."""
    parts = []
    for number in (0.0, 5.0, 7.0):
        models = [trained("a", seed, tmp_path) for seed in range(2)]
        results = {m.name: xr.Dataset({"x": number + m.seed}) for m in models}
        results["mean"] = xr.Dataset({"x": number + number / 10})
        parts.append(
            Part(
                str(number), models, Data.digits(10, 5), {"x": results}, (Average("mean", "a", DeepEnsemble),)
            )
        )
    measured = Measured(parts)
    got = Finding("c", _x, "x", more="a", than="mean", by_cohort=True).judge(measured, "p")
    assert asdict(got) == asdict(above("c", "p", [0.5 - 0.0, 5.5 - 5.5, 7.5 - 7.7]))
    one = Finding("c", _x, "x", above_zero="mean", by_cohort=True).judge(measured, "p")
    assert asdict(one) == asdict(above("c", "p", [0.0, 5.5, 7.7]))
    assert measured.by_cohort("y", _x, "mean")[0] != measured.by_cohort("y", _x, "mean")[0]  # NaN
    assert list(measured.results("x", ("mean",), ("5.0",))) == ["mean"]
    assert float(measured.results("x", ("mean",), ("5.0",))["mean"]["x"]) == 5.5

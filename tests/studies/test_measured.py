from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from study_models import RESULT, trained

from landscape.studies import effects
from landscape.studies.data import Data
from landscape.studies.ensembles import Ensemble
from landscape.studies.measured import Measured, Part

DATA = Data.digits(10, 20)


def _number(ds: xr.Dataset, model: str = "") -> float:
    return float(ds["x"]) + len(model)


def _measured(folder: Path) -> Measured:
    a = [trained("a", seed, folder) for seed in (0, 1)]
    b = [trained("b", 0, folder)]
    first = Part("", a, DATA, {"x": {"a-s1": xr.Dataset({"x": 5.0})}, "g": {"a": xr.Dataset({"x": 0.0})}})
    return Measured([first, Part("more", b, DATA, {"x": {"b-s0": xr.Dataset({"x": 7.0})}})])


def test_numbers_of_a_kind_by_seed(tmp_path: Path):
    """Oracle: numbers put in by hand; NaN where there is no result; of a group, by the model's name."""
    measured = _measured(tmp_path)
    np.testing.assert_array_equal(measured.numbers("x", _number, "a"), [np.nan, 5.0])
    assert measured.numbers("x", _number, "b") == [7.0]
    assert measured.numbers("g", _number, "a") == [4.0, 4.0]  # the length of "a-s0"
    assert measured.numbers("training", effects.test_loss, "a") == [RESULT.test_loss] * 2


def test_results_of_all_cohorts_in_the_order_asked_for(tmp_path: Path):
    """Oracle: names by hand."""
    measured = _measured(tmp_path)
    assert list(measured.results("x")) == ["a-s1", "b-s0"]
    assert list(measured.results("x", ("b", "a"))) == ["b-s0", "a-s1"]
    assert list(measured.results("g", ("a",))) == ["a"]
    assert measured.results("g", ("b",)) == {}
    assert [m.name for m in measured.models(("b", "a"))] == ["b-s0", "a-s0", "a-s1"]


def test_numbers_of_an_ensemble_are_those_of_the_jackknife(tmp_path: Path):
    """Oracle: Tukey's pseudo-values of two members by hand: whole + (mean of the others - the other)."""
    measured = _measured(tmp_path)
    ensemble = measured.ensemble("a")
    assert measured.ensemble("a") is ensemble
    whole, alone = ensemble.nll([0, 1]), [ensemble.nll([1]), ensemble.nll([0])]
    want = [whole + np.mean(alone) - left for left in alone]
    assert measured.numbers("ensemble", Ensemble.nll, "a") == pytest.approx(want)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from study_models import RESULT, trained

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference.uncertainty import temperature_scaled
from landscape.studies import effects
from landscape.studies.averages import Average
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


def test_averages_of_each_model_are_a_kind_and_cohorts_stand_apart(tmp_path: Path):
    """Oracle: numbers put in by hand: the mean over models, and all of each cohort by name."""
    averages = (Average("cool", "a", temperature_scaled, each=True), Average("mean", "a", DeepEnsemble))
    parts = []
    for name, base in (("p", 1.0), ("q", 5.0)):
        models = [trained("a", seed, tmp_path) for seed in (0, 1)]
        results = {f"cool-s{seed}": xr.Dataset({"x": base + seed}) for seed in (0, 1)}
        results |= {"mean": xr.Dataset({"x": base}), "a-s0": xr.Dataset({"x": -base})}
        parts.append(Part(name, models, DATA, {"x": results}, averages))
    measured = Measured(parts)
    assert measured.numbers("x", _number, "cool") == [1.0, 2.0, 5.0, 6.0]
    assert measured.by_cohort("x", _number, "cool") == [1.5, 5.5]
    assert measured.by_cohort("x", _number, "mean") == [1.0, 5.0]
    assert list(measured.results("x", ("cool",))) == ["cool-s0", "cool-s1"]
    apart = measured.apart("x", ("mean", "a"))
    assert {name: float(ds["x"]) for name, ds in apart.items()} == {
        "p: mean": 1.0,
        "q: mean": 5.0,
        "p: a-s0": -1.0,
        "q: a-s0": -5.0,
    }
    assert len(measured.apart("x")) == 8

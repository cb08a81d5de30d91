from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from study_models import trained

import landscape
from landscape.base.figure import Axis, Guide
from landscape.plotting.group_summary import models_of
from landscape.studies.claims import above
from landscape.studies.data import Data, load
from landscape.studies.measured import Measured, Part
from landscape.studies.pictures.figures import Figure, Sweep


def test_figures_of_kinds_with_the_names_of_their_files(tmp_path: Path):
    """Oracle: names by hand; seeds of one kind drawn together, of the kinds asked for."""
    models = [trained(kind, seed, tmp_path) for kind in ("a", "b", "c") for seed in (0, 1)]
    data = Data.digits(10, 5)
    x, y = load(data.test)
    results = {}
    for model in models:
        problem = landscape.Problem(model.recipe.build(model.seed), "cross_entropy", (x, y))
        results[model.name] = landscape.calibration(problem, bootstrap=2).assign_attrs(model=model.name)
    measured = Measured([Part("", models, data, {"calibration": results})])
    drawn = Figure("calibration", "threshold_kept", ("b", "a"), tag="t").draw(measured)
    assert list(drawn) == ["t_threshold_kept"]
    assert models_of(drawn["t_threshold_kept"]) == ["a", "b"]
    several = Figure("calibration", ("ece", "nll"), ("a",)).draw(measured)
    assert list(several) == ["calibration_nll", "calibration_ece"]
    assert Figure("calibration", kinds=("d",)).draw(measured) == {}
    address = "landscape.analyses.behaviour.calibration:calibration"  # one that is in no list, so to say
    assert list(Figure("calibration", "ece", analysis=address).draw(measured)) == ["calibration_ece"]
    marked = Figure("calibration", "ece", ("b",), beside=lambda ds: Guide(y=float(ds["accuracy"])))
    mark = marked.draw(measured)["calibration_ece"].marks[0]
    assert isinstance(mark, Guide) and mark.y == float(results["b-s0"]["accuracy"])
    ensembles = Figure("ensemble", kinds=("a", "b"), tag="").draw(measured)
    assert list(ensembles) == ["ensemble_nll"]
    assert np.isfinite(ensembles["ensemble_nll"].marks[0].y).all()


def test_an_effect_against_what_differs_between_results(tmp_path: Path):
    """Oracle: means and Student's intervals of numbers put in by hand, by `above`."""
    parts = []
    for shift in (0.0, 1.0, 5.0):
        models = [trained(kind, 0, tmp_path) for kind in ("a", "b")]
        results = {
            of: {f"{kind}-s0": xr.Dataset({"x": shift + place}) for kind in ("a", "b")}
            for of, place in (("near", 1.0), ("far", 10.0))
        }
        parts.append(Part(f"p{shift:g}", models, Data.digits(10, 5), results))
    sweep = Sweep(
        "s", "T", {"near": 1.0, "far": 10.0}, lambda ds: float(ds["x"]), ("a",), Axis("r"), Axis("y"), "c"
    )
    (line,) = sweep.draw(Measured(parts))["s"].marks
    want = above("", "", [10.0, 11.0, 15.0])
    np.testing.assert_allclose(line.y, [3.0, want.effect])
    np.testing.assert_allclose([line.low[1], line.high[1]], [want.t_low, want.t_high])
    assert list(line.x) == [1.0, 10.0]


def test_an_effect_over_seeds_of_one_cohort(tmp_path: Path):
    """Oracle: means and Student's intervals over seeds of numbers put in by hand."""
    models = [trained("a", seed, tmp_path) for seed in (0, 1, 2)]
    results = {"near": {f"a-s{seed}": xr.Dataset({"x": float(seed**2)}) for seed in (0, 1, 2)}}
    measured = Measured([Part("", models, Data.digits(10, 5), results)])
    axes = Axis("r"), Axis("y")
    sweep = Sweep("s", "T", {"near": 1.0}, lambda ds: float(ds["x"]), ("a",), *axes, "c", by_cohort=False)
    (line,) = sweep.draw(measured)["s"].marks
    want = above("", "", [0.0, 1.0, 4.0])
    np.testing.assert_allclose([line.y[0], line.low[0], line.high[0]], [want.effect, want.t_low, want.t_high])
    assert "training seeds" in sweep.draw(measured)["s"].whole_caption


def test_models_of_all_cohorts_are_drawn_together(tmp_path: Path):
    """Oracle: names by hand: two models of one name, in two cohorts, are one kind of two models."""
    x, y = load(Data.digits(10, 5).test)
    parts = []
    for name in ("p", "q"):
        model = trained("a", 0, tmp_path)
        problem = landscape.Problem(model.recipe.build(ord(name)), "cross_entropy", (x, y))
        ds = landscape.calibration(problem, bootstrap=2).assign_attrs(model=model.name)
        parts.append(Part(name, [model], Data.digits(10, 5), {"calibration": {model.name: ds}}))
    drawn = Figure("calibration", "threshold_kept", ("a",), by_cohort=True).draw(Measured(parts))
    spec = drawn["calibration_threshold_kept"]
    assert models_of(spec) == ["a"]
    assert "2" in spec.whole_caption

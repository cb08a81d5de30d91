from __future__ import annotations

from pathlib import Path

import numpy as np
from study_models import trained

import landscape
from landscape.plotting.group_summary import models_of
from landscape.studies.data import Data, load
from landscape.studies.figures import Figure
from landscape.studies.measured import Measured, Part


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
    ensembles = Figure("ensemble", kinds=("a", "b"), tag="").draw(measured)
    assert list(ensembles) == ["ensemble_nll"]
    assert np.isfinite(ensembles["ensemble_nll"].marks[0].y).all()

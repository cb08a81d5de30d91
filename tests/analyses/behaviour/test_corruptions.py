"""``corruptions``: its options, its numbers and its pictures."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from cases import CASES, images, uneven

import landscape
from landscape import Problem
from landscape.analyses.behaviour._options import CorruptionName
from landscape.core.behaviour.corruptions import CORRUPTIONS, corrupt


def test_options_name_every_corruption():
    assert set(get_args(CorruptionName)) == set(CORRUPTIONS)


def test_analysis_is_the_calibration_of_damaged_images():
    """Oracle: `calibration` of a problem made of images damaged by hand, in other micro-batches."""
    model, (x, y) = CASES["conv_batchnorm"].model(), images(40)
    ds = landscape.corruptions(
        Problem(model, "cross_entropy", (x, y)), kinds=("contrast", "gaussian_noise"), mean=(0.4,), std=(0.2,)
    )
    for kind in ("contrast", "gaussian_noise"):
        pixels = corrupt(kind, 2)(x * 0.2 + 0.4, 0)
        damaged = Problem(model, "cross_entropy", uneven(((pixels - 0.4) / 0.2, y), [33, 7]))
        oracle, part = landscape.calibration(damaged), ds.sel(corruption=kind, severity=2)
        for name in ("nll", "accuracy", "brier", "ece"):
            assert float(part[name]) == pytest.approx(float(oracle[name]), rel=1e-9)
    clean = landscape.calibration(Problem(model, "cross_entropy", (x, y)))
    assert float(ds["mean_nll"][0]) == pytest.approx(float(clean["nll"]))
    assert not ds["nll_change"].sel(severity=0).any()
    np.testing.assert_allclose(ds["nll_change"], ds["nll"] - ds["nll"].sel(severity=0), atol=1e-12)


def test_bands_of_accuracy_stay_within_it_and_close_nowhere():
    """Oracle: a share lies in [0, 1], and few examples never pin it down, even if all answers are right."""
    problem = Problem(CASES["conv_batchnorm"].model(), "cross_entropy", images(40))
    ds = landscape.corruptions(problem, kinds=("rotation",), mean=(0.4,), std=(0.2,))
    ds["accuracy"][...] = [[1.0, 1.0, 0.5, 0.5, 0.0, 0.0]]
    (figure,) = [f for f in landscape.corruptions.plots({"a": ds}) if f.name == "accuracy_rotation"]
    (line,) = figure.marks
    assert (line.low >= -1e-12).all() and (line.high <= 1 + 1e-12).all()
    assert (line.high - line.low > 0.05).all()
    assert ((line.low <= line.y + 1e-12) & (line.y <= line.high + 1e-12)).all()

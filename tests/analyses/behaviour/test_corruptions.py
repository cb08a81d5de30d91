"""``corruptions``: its options, its numbers and its pictures."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from cases import CASES, images, uneven
from scipy import stats
from torch import nn

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
    half = stats.t.ppf(0.975, 39) * float(ds["accuracy_se"][0, 0])
    assert landscape.corruptions.summary(ds)[0].error == pytest.approx(half, rel=1e-6)
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


def test_pixels_are_the_flattened_problem_of_damaged_images():
    """Oracle: `calibration` of maps damaged by hand; a cyclic move of what is cyclic changes nothing."""
    torch.manual_seed(0)
    model = nn.Conv2d(1, 3, 3, padding=1).double()
    x = torch.rand(30, 1, 8, 8, dtype=torch.float64)
    y = (3 * x[:, 0]).long().clamp(max=2)
    y[:, 0] = -100
    problem = Problem(model, nn.CrossEntropyLoss(), (x, y), batch_size=8)
    ds = landscape.corruptions(problem, kinds=("contrast", "roll"), mean=(0.0,), std=(1.0,))
    assert str(ds["classification"].item()) == "classes at positions"
    part = ds.sel(corruption="contrast", severity=3)
    oracle = landscape.calibration(Problem(model, nn.CrossEntropyLoss(), (corrupt("contrast", 3)(x, 0), y)))
    for name in ("nll", "accuracy", "brier", "ece"):
        assert float(part[name]) == pytest.approx(float(oracle[name]), rel=1e-9)
    # A cyclic move of images and labels together changes what circular padding sees by nothing.
    around = nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular").double()
    ds = landscape.corruptions(
        Problem(around, nn.CrossEntropyLoss(), (x, y)), kinds=("roll",), mean=(0.0,), std=(1.0,)
    )
    np.testing.assert_allclose(ds["nll"], ds["nll"].values[:, :1] * np.ones((1, 6)), rtol=1e-9)
    assert float(np.abs(ds["accuracy_change"]).max()) < 1e-12


def test_errors_of_pixels_that_repeat_are_those_of_one():
    """Oracle: the classification of an image of one grey by its one label."""
    torch.manual_seed(0)
    x = torch.rand(40, 1, 1, 1, dtype=torch.float64).expand(-1, 1, 4, 4).contiguous()
    y = (x[:, 0] + 0.4 * torch.randn(40, 1, 1).double() > 0.5).long()
    model = nn.Conv2d(1, 2, 1).double()
    kinds, scale = ("brightness", "contrast"), {"mean": (0.0,), "std": (1.0,)}
    pixels = landscape.corruptions(Problem(model, nn.CrossEntropyLoss(), (x, y)), kinds=kinds, **scale)
    one = nn.Sequential(model, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = landscape.corruptions(Problem(one, "cross_entropy", (x, y[:, 0, 0])), kinds=kinds, **scale)
    for name in ("nll_se", "accuracy_se", "nll_change_se", "brier_change_se"):
        np.testing.assert_allclose(pixels[name], images[name], rtol=1e-9, atol=1e-12)


def test_captions_name_kinds_too_strong_to_compare_models():
    """Oracle: shares set by hand: at severity 2 a third is left of one kind, most of the other."""
    problem = Problem(CASES["conv_batchnorm"].model(), "cross_entropy", images(20))
    ds = landscape.corruptions(problem, kinds=("brightness", "rotation"), mean=(0.4,), std=(0.2,))
    ds["accuracy"][...] = [[0.9, 0.6, 0.3, 0.1, 0.1, 0.1], [0.9, 0.8, 0.7, 0.5, 0.3, 0.1]]
    said = {f.name: f.caption for f in landscape.corruptions.plots({"a": ds, "b": ds})}
    for name in ("mean_accuracy", "accuracy_brightness"):
        assert "gone by severity 2: brightness. The amounts are those of photographs" in said[name]
    assert "Strong" not in said["accuracy_rotation"]


def test_amounts_of_cifar_c_are_chosen_by_an_option():
    """Oracle: the loss of images damaged by hand; its noise; results of before the option keep their keys."""
    model, (x, y) = CASES["conv_batchnorm"].model(), images(40)
    problem, kinds = Problem(model, "cross_entropy", (x, y)), ("gaussian_noise",)
    given = {"kinds": kinds, "mean": (0.4,), "std": (0.2,)}
    weak = landscape.corruptions(problem, **given, benchmark="cifar-c")
    np.testing.assert_allclose(weak["amount"][0, 1:], [0.04, 0.06, 0.08, 0.09, 0.10])
    pixels = corrupt("gaussian_noise", 5, benchmark="cifar-c")(x * 0.2 + 0.4, 0)
    damaged = Problem(model, "cross_entropy", ((pixels - 0.4) / 0.2, y))
    assert float(weak["nll"][0, 5]) == pytest.approx(float(landscape.calibration(damaged)["nll"]), rel=1e-9)
    strong = landscape.corruptions(problem, **given)
    assert "benchmark" not in strong.attrs["parameters"]
    said = {f.name: f.caption for f in landscape.corruptions.plots({"a": weak, "b": strong})}
    assert (
        "0.04, 0.06, 0.08, 0.09, 0.1 (pixel range, standard deviation) or 0.08"
        in said["accuracy_gaussian_noise"]
    )
    assert "amounts of images of 32 pixels (CIFAR-C) or photographs (ImageNet-C)" in said["mean_nll"]

"""``robustness``: closed forms of linear models, warnings that fire and stay silent, pictures."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError


def linear_problem(n=120, classes=10, scale=1.0, noise=0.0):
    """A linear classifier of grey images, right but for some labels drawn anew."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).double()
    with torch.no_grad():
        model[1].weight.copy_(scale * torch.randn(classes, 64, generator=generator))
        model[1].bias.copy_(torch.randn(classes, generator=generator))
    x = 0.4 + 0.2 * torch.rand(n, 1, 8, 8, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        y = model(x).argmax(1)
    drawn = torch.rand(n, generator=generator) < noise
    y = torch.where(drawn, torch.randint(classes, (n,), generator=generator), y)
    return Problem(model, "cross_entropy", (x, y), batch_size=50), model, x, y


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_linear_classifiers_meet_the_closed_form(norm):
    """Oracle: robust share 1[min_j (z_y − z_j)/‖w_y − w_j‖* > ε], for every image and radius."""
    problem, model, x, y = linear_problem(noise=0.1)
    W = model[1].weight.detach()
    z = model(x).detach()
    away = W[y][:, None] - W
    lengths = away.abs().sum(2) if norm == "linf" else away.norm(dim=2)
    ratio = ((z.gather(1, y[:, None]) - z) / lengths).where(torch.arange(10) != y[:, None], torch.inf)
    exact = ratio.amin(1).clamp(min=0).numpy()
    radii = tuple(float(np.quantile(exact, q)) * 1.0001 for q in (0.2, 0.5, 0.8))
    ds = landscape.robustness(problem, norm=norm, radii=radii, mean=(0.0,), std=(1.0,), targets=1)
    np.testing.assert_allclose(ds["distance"], exact, rtol=1e-12, atol=1e-12)
    want = [(exact > r).mean() for r in (0.0, *radii)]
    np.testing.assert_allclose(ds["accuracy"].sel(attack="pgd"), want, atol=1e-12)
    np.testing.assert_allclose(ds["worst"], want, atol=1e-12)
    assert float(ds["median_distance"]) == pytest.approx(np.median(exact))
    assert float(ds["median_distance_low"]) < np.median(exact) < float(ds["median_distance_high"])
    assert str(ds["notice"].item()) == ""
    ends = float(ds["median_distance_high"]) - float(ds["median_distance_low"])
    found = landscape.robustness.summary(ds)
    assert found[2].error == pytest.approx(ends / 2)
    half = max(2.0, stats.t.ppf(0.975, len(x) - 1)) * float(ds["worst_se"][0])
    assert found[0].error == pytest.approx(half, rel=1e-6)


def test_cross_entropy_overstates_robustness_of_a_linear_classifier():
    """Oracle: the closed form, which the margin meets in the test above."""
    problem, *_ = linear_problem(200, scale=0.3)
    options = {"attacks": ("pgd",), "mean": (0.0,), "std": (1.0,)}
    distance = landscape.robustness(problem, **options)["distance"].values
    options["radii"] = tuple(float(np.quantile(distance, q)) for q in (0.3, 0.5, 0.7))
    exact = landscape.robustness(problem, targets=1, **options)
    fair = landscape.robustness(problem, objective="cross_entropy", steps=50, distance=False, **options)
    gap = (fair["accuracy"] - exact["accuracy"]).values
    assert (gap >= 0).all() and gap.max() > 0.02
    assert fair["distance"].isnull().all() and np.isnan(float(fair["median_distance"]))


def test_options_of_scale_and_sample():
    """Oracle: the same model of inputs (x − m)/s; the same images whatever the batches."""
    problem, model, x, y = linear_problem()
    scaled = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    with torch.no_grad():  # W((u·0.3 + 0.5)) + b
        scaled[1].weight.copy_(0.3 * model[1].weight)
        scaled[1].bias.copy_(model[1].bias + 0.5 * model[1].weight.sum(1))
    other = Problem(scaled, "cross_entropy", ((x - 0.5) / 0.3, y), batch_size=33)
    options = {"images": 60, "restarts": 2, "steps": 5}
    a = landscape.robustness(problem, mean=(0.0,), std=(1.0,), **options)
    b = landscape.robustness(other, mean=(0.5,), std=(0.3,), **options)
    assert a.sizes["image"] == 60
    np.testing.assert_array_equal(a["image"], b["image"])
    np.testing.assert_allclose(a["accuracy"], b["accuracy"])
    np.testing.assert_allclose(a["distance"], b["distance"], rtol=1e-9)
    np.testing.assert_allclose(a["perturbation_power"], b["perturbation_power"], rtol=1e-6)
    with pytest.raises(InputError, match="radii are not negative"):
        landscape.robustness(problem, radii=(-0.1,))
    with pytest.raises(InputError, match="each attack is named once"):
        landscape.robustness(problem, attacks=("pgd", "pgd"))


class Waves(nn.Module):
    """A linear classifier behind a staircase: gradients are zero, answers are not."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model((x * 64).round() / 64)


def test_masked_gradients_are_told():
    """Oracle: rounding has no gradient, so that attacks by gradients do nothing and random ones do."""
    _, model, x, y = linear_problem()
    masked = landscape.robustness(Problem(Waves(model), "cross_entropy", (x, y)), mean=(0.0,), std=(1.0,))
    text = str(masked["notice"].item())
    assert "the gradient of the loss is zero at 100% of the images" in text
    assert "random perturbations change more answers than fgsm" in text
    assert float(masked["flat_share"]) == 1.0


def test_nan_stays_nan():
    """Oracle: no answer is right or wrong where logits are NaN; the means over images say so."""
    _, model, x, y = linear_problem(12)
    x[3] = torch.nan
    problem = Problem(model, "cross_entropy", (x, y))
    ds = landscape.robustness(problem, steps=2, mean=(0.0,), std=(1.0,))
    assert ds["accuracy"].isnull().all() and ds["worst"].isnull().all() and np.isnan(ds["median_distance"])
    assert np.flatnonzero(ds["distance"].isnull()).tolist() == [3]
    around = landscape.input_surface(problem, mean=(0.0,), std=(1.0,), points=3, plane=3)
    assert around["loss"].isnull().all() and around["error"].isnull().all() and np.isnan(around["peak"])
    curved = landscape.input_curvature(problem, mean=(0.0,), std=(1.0,))
    assert np.flatnonzero(curved["fisher_top"].isnull()).tolist() == [3]
    assert np.flatnonzero(curved["hessian_top"].isnull()).tolist() == [3]


def test_frequencies_of_perturbations_are_those_of_the_weights():
    """Oracle: the ℓ2 attack on a two-class linear model is along w₀ − w₁, here one Fourier mode."""
    wave = torch.cos(2 * torch.pi * 3 * torch.arange(16) / 16).expand(16, 16).double()
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 2, bias=False)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([wave.flatten(), -wave.flatten()]))
    x = 0.5 + 0.01 * torch.randn(
        20, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    y = model(x).argmax(1)
    ds = landscape.robustness(
        Problem(model, "cross_entropy", (x, y)), norm="l2", radii=(0.05,), mean=(0.0,), std=(1.0,)
    )
    power = ds["perturbation_power"].values
    peak = int(np.nanargmax(power))
    assert ds["frequency"].values[peak] == pytest.approx(3 / 16, abs=0.04)
    # all energy is in that bin: its modes share that of all 256
    assert power[peak] == pytest.approx(256 / int(ds["modes"][peak]), rel=1e-6)
    assert np.nansum(power) == pytest.approx(power[peak], rel=1e-6)


def test_an_interrupted_run_goes_on(tmp_path):
    """Oracle: an undisturbed run, bit for bit; the pieces on disk are not computed again."""
    from landscape.analyses.inputs.robustness import robustness
    from landscape.base.context import Context

    problem, *_ = linear_problem()
    params = robustness.validate({"steps": 3})
    whole = robustness.run(problem, params)
    shares = []

    class StopError(Exception):
        pass

    def stop(share):
        shares.append(share)
        if share >= 0.6:
            raise StopError

    with pytest.raises(StopError):
        robustness.run(problem, params, Context(progress=stop, partial=tmp_path))
    again = []
    resumed = robustness.run(problem, params, Context(progress=again.append, partial=tmp_path))
    assert min(again) >= 1 / 3 and max(again) == 1.0 and shares == sorted(shares)
    for name in whole.variables:
        np.testing.assert_array_equal(whole[name], resumed[name])


def test_one_logit_meets_the_closed_form_and_one_hot_targets_are_classes():
    """Oracle: |z|/‖w‖₁ to the border of the one logit; the same problem with indices."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1)).double()
    x = 0.4 + 0.2 * torch.rand(40, 1, 4, 4, dtype=torch.float64)
    z = model(x)[:, 0].detach()
    model[1].bias.data -= z.sort().values[19:21].mean()
    z = model(x)[:, 0].detach()
    y = (z > 0).double()
    y[:8] = 1 - y[:8]
    exact = torch.where((z > 0) == (y > 0), z.abs() / model[1].weight.detach().abs().sum(), 0.0).numpy()
    options = {"mean": (0.0,), "std": (1.0,), "radii": (float(np.median(exact)) * 1.0001,)}
    ds = landscape.robustness(Problem(model, nn.BCEWithLogitsLoss(), (x, y[:, None])), **options)
    np.testing.assert_allclose(ds["distance"], exact, rtol=1e-9, atol=1e-12)
    assert float(ds["worst"][1]) == pytest.approx((exact > options["radii"][0]).mean())

    problem, classifier, x, labels = linear_problem(30)
    hot = nn.functional.one_hot(labels, 10).double()
    found = landscape.robustness(Problem(classifier, "cross_entropy", (x, hot), batch_size=50), steps=3)
    same = landscape.robustness(problem, steps=3)
    for name in same.data_vars:
        np.testing.assert_allclose(found[name], same[name], rtol=1e-12) if same[
            name
        ].dtype.kind == "f" else None
    soft = Problem(classifier, "cross_entropy", (x, hot * 0.9 + 0.01))
    with pytest.raises(InputError, match="one right class for each example, and targets are probabilities"):
        landscape.robustness(soft)
    several = Problem(classifier, nn.BCEWithLogitsLoss(), (x, hot))
    with pytest.raises(InputError, match="one answer for each example, and the problem asks for labels"):
        landscape.robustness(several)


def test_radii_that_double_are_drawn_evenly():
    """Oracle: the axes: default radii span a factor of 64, two of these one of 2."""
    problem, *_ = linear_problem(8, 3)
    options = {"mean": (0.0,), "std": (1.0,), "steps": 1, "targets": 1, "distance": False}
    wide, narrow = (landscape.robustness(problem, **options, **o) for o in ({}, {"radii": (0.1, 0.2)}))
    for ds, scale, least in ((wide, "symlog", 1 / 255), (narrow, "linear", 1.0)):
        axis = landscape.robustness.plots({"a": ds})[0].x
        assert (axis.scale, axis.linthresh) == (scale, least)

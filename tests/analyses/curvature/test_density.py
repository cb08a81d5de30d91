"""The density of a network's Hessian against its exact spectrum."""

import numpy as np
import pytest
import torch
from cases import CASES
from scipy import stats
from torch import nn

import landscape
from landscape.analyses.curvature.density import smooth
from landscape.base.figure import Line, Stems
from landscape.core.curvature.operator import hessian
from landscape.errors import InputError


@pytest.fixture(scope="module")
def linear() -> tuple[landscape.Problem, np.ndarray]:
    """Linear regression of 30 inputs of very different scale: H = XᵀX/N + λI in closed form."""
    g = torch.Generator().manual_seed(0)
    scales = torch.cat([torch.tensor([30.0, 20.0, 10.0]), torch.rand(117, generator=g)])
    x = torch.randn(400, 120, generator=g, dtype=torch.float64) * scales
    y = torch.randn(400, 1, generator=g, dtype=torch.float64)
    model = nn.Linear(120, 1, bias=False).double()
    problem = landscape.Problem(model, "half_squared_error", (x, y), weight_decay=0.1)
    return problem, np.linalg.eigvalsh((x.T @ x / 400).numpy()) + 0.1


def test_density_integrates_to_one_and_has_the_outliers(linear):
    """Independent: closed form XᵀX/N + λI; the integral by the trapezoidal rule over the grid."""
    problem, exact = linear
    ds = landscape.density(problem, outliers=3, probes=8, steps=30)
    assert np.trapezoid(ds["density"], ds["grid"]) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(ds["outliers"], exact[::-1][:3], rtol=1e-6)
    np.testing.assert_allclose(ds["weights"].sum("node"), 1.0, rtol=1e-12)
    assert bool(ds["converged"])
    assert float(ds["negative_share_high"]) < 1e-12  # a recurrence that never comes near 0 says so
    # in units of the mean eigenvalue, the measure lies within a percent
    distance = stats.wasserstein_distance(ds["nodes"].values.ravel(), exact, ds["weights"].values.ravel())
    assert distance < 0.01 * exact.mean()
    assert abs(float(ds["trace"]) - exact.sum()) < 5 * float(ds["trace_se"])
    assert float(ds["negative_share"]) < 1e-12


@pytest.mark.parametrize("name", ["mlp", "attention"])
def test_hessians_of_networks(name):
    """Independent: the Hessian by differentiating twice in plain torch, and scipy's distance."""
    case = CASES[name]
    exact = torch.linalg.eigvalsh(case.exact_hessian()).numpy()
    ds = landscape.density(case.problem(), outliers=8, probes=40, steps=20)
    distance = stats.wasserstein_distance(ds["nodes"].values.ravel(), exact, ds["weights"].values.ravel())
    assert distance < 0.003 * np.ptp(exact)
    share, error = float(ds["negative_share"]), float(ds["negative_share_se"])
    assert abs((exact < -1e-9 * np.abs(exact).max()).mean() - share) < 2 * error
    low, high = float(ds["negative_share_low"]), float(ds["negative_share_high"])
    assert low <= share <= high
    assert bool(ds["converged"]) == (high - low <= 0.1)


def test_a_density_without_room_for_its_vectors_says_so(linear, monkeypatch):
    """Independent: closed form XᵀX/N + λI; free memory is 30 vectors, less 8 for a product."""
    from landscape.core.linalg import room

    problem, exact = linear
    options = {"probes": 8, "steps": 30, "outliers": 10}
    asked = landscape.density(problem, reorthogonalise=False, **options)
    assert "notice" not in asked and int(asked["products"]) == 240
    monkeypatch.setattr(room, "free_memory", lambda unknown: 30 * 120 * 8)
    scarce = landscape.density(problem, **options)
    assert "the three-term recurrence took their place" in str(scarce["notice"].item())
    assert int(scarce["products"]) == 240 + 15  # the shorter run that finds outliers is no probe
    for ds in (asked, scarce):
        np.testing.assert_allclose(ds["outliers"][:3], exact[::-1][:3], rtol=1e-6)
        distance = stats.wasserstein_distance(ds["nodes"].values.ravel(), exact, ds["weights"].values.ravel())
        assert distance < 0.01 * exact.mean()
        assert abs(float(ds["trace"]) - exact.sum()) < 5 * float(ds["trace_se"])
    monkeypatch.setattr(room, "free_memory", lambda unknown: 9 * 120 * 8)
    with pytest.raises(InputError, match="room for 1: choose fewer parameters"):
        landscape.density(problem, **options)


def test_all_outliers_is_the_kernel_estimate_of_the_exact_spectrum():
    """Independent: the exact Hessian, smoothed by scipy's normal density."""
    case = CASES["mlp"]
    exact = torch.linalg.eigvalsh(case.exact_hessian()).numpy()
    ds = landscape.density(case.problem(), outliers=10_000, kernel_width=0.05, probes=1)
    width = float(ds["kernel_width"])
    assert width == pytest.approx(0.05 * np.ptp(exact), rel=1e-6)
    expected = stats.norm.pdf(ds["grid"].values[:, None], exact, width).mean(1)
    np.testing.assert_allclose(ds["density"], expected, rtol=1e-5, atol=1e-9)
    assert np.isnan(ds["density_se"]).all()  # one probe has no spread


def test_gauss_newton_of_a_linear_model_is_its_hessian(linear):
    """Independent: for models linear in θ both matrices are the same, so the bits of the probes agree."""
    problem, _ = linear
    one, two = (landscape.density(problem, operator=o, probes=2, steps=8) for o in ("hessian", "ggn"))
    np.testing.assert_allclose(one["nodes"], two["nodes"], rtol=1e-6, atol=1e-9)


def test_smoothing_anew_is_smoothing_at_first(linear):
    """Independent: the same width asked for at the start; nodes, weights and outliers stay."""
    problem, _ = linear
    rough = landscape.density(problem, kernel_width=0.02, probes=3, steps=8)
    fine = landscape.density(problem, kernel_width=0.01, probes=3, steps=8)
    again = smooth(rough, float(fine["kernel_width"]))
    for name in fine.variables:
        np.testing.assert_array_equal(again[name], fine[name])
    assert again.attrs == rough.attrs
    with pytest.raises(InputError, match="width must be positive"):
        smooth(rough, 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_the_band_of_the_curve_holds_the_exact_one(seed):
    """Independent: the exact Hessian's eigenvalues, smoothed by scipy's normal density, and their share.

    At the defaults, where the nodes themselves are far from telling either.
    """
    torch.manual_seed(seed)
    layers = nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 4)
    model = nn.Sequential(*layers).double()
    x, y = torch.randn(40, 6).double(), torch.randint(0, 4, (40,))
    problem = landscape.Problem(model, "cross_entropy", (x, y))
    with hessian(problem) as operator:
        exact = torch.linalg.eigvalsh(operator.dense()).numpy()
    ds = landscape.density(problem, seed=seed)
    width, grid = float(ds["kernel_width"]), ds["grid"].values
    expected = stats.norm.pdf(grid[:, None], exact, width).mean(1)
    tiny = 1e-6 * expected.max()
    held = (ds["density_low"] - tiny <= expected) & (expected <= ds["density_high"] + tiny)
    assert float(held.mean()) >= 0.9
    share = (exact < -1e-12 * np.abs(exact).max()).mean()
    assert abs(float(ds["negative_share"]) - share) < 2 * float(ds["negative_share_se"])
    assert not bool(ds["converged"])


def test_the_picture_counts_eigenvalues(linear):
    """Independent: counts of the exact spectrum above a value, at the ends of the curve."""
    problem, exact = linear
    ds = landscape.density(problem, outliers=3, probes=8, steps=30)
    density, counts = landscape.analyses()["density"].plots({"one": ds})
    (line,) = (m for m in counts.marks if isinstance(m, Line))  # no negative half: all are positive
    assert line.series.name == "one, λ > 0"
    x, y = np.asarray(line.x), np.asarray(line.y)
    assert y[x > exact[-2] * 1.01].min() == pytest.approx(1.0)
    low = exact.searchsorted(x[0], side="right")
    assert y[0] == pytest.approx(len(exact) - low, rel=0.1)
    stems = next(m for m in density.marks if isinstance(m, Stems))
    np.testing.assert_allclose(stems.x, ds["outliers"])


def test_one_odd_model_sets_no_shared_axis(linear):
    """Oracle: the axis of the other models alone; a model without eigenvalues of one sign counts none."""
    ds = landscape.density(linear[0], outliers=3, probes=4, steps=20)
    odd = ds.copy(deep=True)
    for name in ("nodes", "outliers", "alpha", "beta", "residuals", "kernel_width"):
        odd[name] = ds[name] * 1e-9
    plots = landscape.analyses()["density"].plots
    alone = plots({"a": ds})[0].x.linthresh
    assert plots({"a": ds, "b": ds, "c": ds, "odd": odd})[0].x.linthresh == pytest.approx(alone)
    lines = [m for m in plots({"a": ds, "b": ds})[1].marks if isinstance(m, Line)]
    assert [m.series.name for m in lines] == ["a, λ > 0", "a, λ < 0", "b, λ > 0", "b, λ < 0"]
    assert not np.any(lines[1].y) and lines[0].beyond[1] == 0.0 and np.isnan(lines[0].beyond[0])


def test_a_loss_that_is_not_finite_is_named():
    """Independent: by inspection."""
    x, y = torch.full((4, 2), 1e30), torch.zeros(4, 1)
    problem = landscape.Problem(nn.Linear(2, 1), "mse", (x, y))
    with pytest.raises(InputError, match="no curvature"):
        landscape.density(problem)


def test_pyhessians_density_is_refused_with_the_reason():
    """Independent: torch itself, whose eig is gone or raises."""
    with pytest.raises((RuntimeError, AttributeError)):
        torch.eig(torch.eye(2), eigenvectors=True)
    with pytest.raises(InputError, match=r"PyHessian 0\.1 calls torch\.eig, which torch has removed"):
        landscape.density(CASES["mlp"].problem(), engine="pyhessian")

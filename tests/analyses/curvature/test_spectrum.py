"""``spectrum`` against NumPy's eigenvalues of the exact Hessian."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from cases import CASES, regression
from torch import nn

import landscape
from landscape import Problem
from landscape.analyses.curvature import _resume as _lanczos
from landscape.base.analysis import Context
from landscape.errors import InputError


def wanted(values, k, which):
    """The k wanted ones among all eigenvalues, ordered as documented."""
    rising = np.sort(values)
    return {
        "LM": rising[np.argsort(-np.abs(rising), kind="stable")][:k],
        "LA": rising[::-1][:k],
        "SA": rising[:k],
        "BE": np.concatenate([rising[::-1][: k - k // 2], rising[: k // 2][::-1]]),
    }[which]


@pytest.mark.parametrize("which", ["LM", "LA", "SA", "BE"])
@pytest.mark.parametrize("name", ["mlp", "conv_batchnorm", "tied", "attention", "transformer_dict"])
def test_eigenvalues_are_those_of_the_exact_hessian(name, which):
    """Oracle: NumPy on the Hessian of plain torch's loss, differentiated twice; residuals bound errors."""
    exact = np.linalg.eigvalsh(CASES[name].exact_hessian().numpy())
    ds = landscape.spectrum(CASES[name].problem(batch_size=6), k=5, which=which, tol=1e-8)
    found, residuals = ds["eigenvalues"].values, ds["residuals"].values
    scale = np.abs(exact).max()
    np.testing.assert_allclose(found, wanted(exact, 5, which), atol=1e-7 * scale)
    assert bool(ds["converged"])
    assert bool(ds["complete"])
    assert (residuals <= 1e-8 * scale).all()
    distance = np.abs(found[:, None] - exact).min(1)
    assert (distance <= residuals + 1e-12 * scale).all()


@pytest.mark.parametrize("which", ["LM", "LA", "SA", "BE"])
def test_gauss_newton_spectrum(which):
    """Oracle: NumPy on the dense Gauss-Newton matrix."""
    problem = CASES["mlp"].problem()
    exact = np.linalg.eigvalsh(landscape.ggn(problem).dense().numpy())
    ds = landscape.spectrum(problem, k=4, which=which, operator="ggn", tol=1e-9)
    np.testing.assert_allclose(ds["eigenvalues"].values, wanted(exact, 4, which), atol=1e-8)


class Heads(nn.Module):
    """Identical columns: every eigenvalue of the Hessian of a squared error is threefold or more."""

    def __init__(self, outputs):
        super().__init__()
        self.layer = nn.Linear(20, outputs, bias=False)

    def forward(self, x):
        return self.layer(x)


@pytest.mark.parametrize("which", ["LM", "LA", "SA", "BE"])
def test_copies_of_multiple_eigenvalues_are_all_found(which):
    """Oracle: H = I₃ ⊗ XᵀX/N in closed form: each eigenvalue of XᵀX/N three times."""
    x, _ = regression(60, 20)
    problem = Problem(Heads(3).double(), "half_squared_error", (x, torch.zeros(60, 3).double()))
    exact = np.repeat(np.linalg.eigvalsh(x.numpy().T @ x.numpy() / 60), 3)
    ds = landscape.spectrum(problem, k=7, which=which, tol=1e-8)
    assert bool(ds["complete"])
    np.testing.assert_allclose(ds["eigenvalues"].values, wanted(exact, 7, which), rtol=1e-6)


def test_without_the_search_copies_may_be_missing_and_the_result_says_so():
    """Oracle: H = I₃ ⊗ XᵀX/N in closed form; one Krylov space holds one copy of each eigenvalue."""
    x, _ = regression(60, 20)
    problem = Problem(Heads(3).double(), "half_squared_error", (x, torch.zeros(60, 3).double()))
    exact = np.linalg.eigvalsh(x.numpy().T @ x.numpy() / 60)
    ds = landscape.spectrum(problem, k=5, tol=1e-6, search=False)
    np.testing.assert_allclose(ds["eigenvalues"].values, wanted(exact, 5, "LM"), rtol=1e-6)
    assert bool(ds["converged"])
    assert not bool(ds["complete"])
    whole = landscape.spectrum(problem, k=5, tol=1e-6)
    assert int(ds["products"]) < int(whole["products"])
    words = "Copies of eigenvalues may be missing"
    captions = [
        landscape.spectrum.plots(d)[0].caption for d in ({"a": whole}, {"a": ds, "b": whole}, {"a": ds})
    ]
    assert words not in captions[0]
    assert f"{words} in 1 of 2 results:" in captions[1]
    assert f"{words}:" in captions[2]


def test_a_run_without_the_search_reports_all_its_progress():
    """Oracle: the end of the iteration is the end of the run."""
    analysis, seen = landscape.analyses()["spectrum"], []
    params = analysis.validate({"k": 3, "search": False})
    analysis.run(CASES["conv_batchnorm"].problem(), params, Context(seen.append))
    assert seen[-1] == 1.0
    assert analysis.cost(params).gradients < analysis.cost(analysis.validate({"k": 3})).gradients


def test_all_eigenvalues_at_once_are_complete_without_a_search():
    """Oracle: NumPy on the exact Hessian: none is left that could be missing."""
    exact = np.linalg.eigvalsh(CASES["mlp"].exact_hessian().numpy())
    ds = landscape.spectrum(CASES["mlp"].problem(), k=30, which="LA", search=False)
    np.testing.assert_allclose(ds["eigenvalues"].values, exact[::-1][:30], atol=1e-12)
    assert bool(ds["complete"])


def test_opposite_eigenvalues_of_equal_size():
    """Oracle: closed form ±λ: the Hessian of a·b is [[0, 1], [1, 0]]; power iteration would fail."""

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Parameter(torch.randn(6)), nn.Parameter(torch.randn(6))

        def forward(self, x):
            return (x * self.a * self.b).sum(1)

    x = torch.ones(4, 6).double() * torch.tensor([6.0, 5, 4, 3, 2, 1])
    problem = Problem(Product().double(), lambda out, _: out, (x, torch.zeros(4)))
    ds = landscape.spectrum(problem, k=4, tol=1e-10)
    np.testing.assert_allclose(sorted(ds["eigenvalues"].values), [-6, -5, 5, 6], rtol=1e-9)


def test_weight_decay_shifts_every_eigenvalue_by_lambda():
    """Oracle: the spectrum without it; λ = 0.25 is added exactly."""
    plain = landscape.spectrum(CASES["mlp"].problem(), k=6, which="LA", tol=1e-9)
    decayed = landscape.spectrum(CASES["mlp"].problem(weight_decay=0.25), k=6, which="LA", tol=1e-9)
    np.testing.assert_allclose(decayed["eigenvalues"], plain["eigenvalues"] + 0.25, atol=1e-8)


def test_eigenvectors_on_request():
    """Oracle: residuals recomputed with the exact Hessian in NumPy; orthonormality."""
    H = CASES["mlp"].exact_hessian().numpy()
    ds = landscape.spectrum(CASES["mlp"].problem(), k=4, tol=1e-8, vectors=True)
    assert ds["eigenvectors"].dims == ("parameter", "eigenpair")
    U = ds["eigenvectors"].values
    np.testing.assert_allclose(U.T @ U, np.eye(4), atol=1e-12)
    residuals = np.linalg.norm(H @ U - U * ds["eigenvalues"].values, axis=0)
    np.testing.assert_allclose(residuals, ds["residuals"], atol=1e-11)
    assert "eigenvectors" not in landscape.spectrum(CASES["mlp"].problem(), k=1)


def test_a_spent_budget_is_flagged_and_residuals_still_bound_the_errors():
    """Oracle: NumPy; eight products cannot settle six pairs."""
    exact = np.linalg.eigvalsh(CASES["conv_batchnorm"].exact_hessian().numpy())
    ds = landscape.spectrum(CASES["conv_batchnorm"].problem(), k=6, tol=1e-8, max_products=8)
    assert not bool(ds["converged"])
    assert not bool(ds["complete"])
    assert int(ds["products"]) <= 8
    errors = np.abs(ds["eigenvalues"].values[:, None] - exact).min(1)
    assert (errors <= ds["residuals"].values + 1e-12).all()
    assert ds["residuals"].values.max() > 1e-8 * np.abs(exact).max()


def test_a_good_start_saves_products():
    """Oracle: counting; the eigenvectors themselves as a start."""
    problem = CASES["conv_batchnorm"].problem()
    cold = landscape.spectrum(problem, k=3, vectors=True, tol=1e-6)
    warm = landscape.spectrum(problem, k=3, tol=1e-6, start=torch.from_numpy(cold["eigenvectors"].values))
    np.testing.assert_allclose(warm["eigenvalues"], cold["eigenvalues"], rtol=1e-6)
    assert int(warm["products"]) < int(cold["products"])


def test_loss_and_gradient_norm_come_along():
    """Oracle: the problem's own."""
    problem = CASES["mlp"].problem(weight_decay=0.1)
    ds = landscape.spectrum(problem, k=1)
    assert float(ds["loss"]) == problem.loss()
    assert float(ds["gradient_norm"]) == pytest.approx(float(np.linalg.norm(problem.gradient())), rel=1e-14)


def test_more_pairs_than_parameters_gives_all():
    """Oracle: NumPy on the exact Hessian."""
    exact = np.linalg.eigvalsh(CASES["mlp"].exact_hessian().numpy())
    ds = landscape.spectrum(CASES["mlp"].problem(), k=1000, which="LA")
    np.testing.assert_allclose(ds["eigenvalues"].values, exact[::-1], atol=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_has_no_spectrum(value):
    """Oracle: the sentence names the loss and the likely causes."""
    x, y = regression()
    y[2] = value
    with pytest.raises(InputError, match=f"loss at the checkpoint is {value}.*no curvature"):
        landscape.spectrum(Problem(nn.Linear(4, 1).double(), "mse", (x, y)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 0}, "option 'k' of analysis 'spectrum' cannot be 0"),
        ({"which": "LX"}, "option 'which' .* 'LX'.*'LM', 'LA', 'SA' or 'BE'"),
        ({"tol": 0.0}, "option 'tol'"),
        ({"max_products": 3}, "max_products=3 cannot find k=10 pairs"),
        ({"start": torch.zeros(3)}, r"start has shape \(3,\); an operator of size 43"),
        ({"start": torch.full((43,), math.nan)}, "start holds NaN"),
        ({"whihc": "LA"}, "no option 'whihc'; did you mean 'which'"),
    ],
)
def test_useless_options_are_refused(options, words):
    """Oracle: the key words of the sentence."""
    with pytest.raises(InputError, match=words):
        landscape.spectrum(CASES["mlp"].problem(), **options)


def test_the_same_seed_gives_the_same_bits():
    """Oracle: repetition; another seed gives other bits within the tolerance."""
    runs = [landscape.spectrum(CASES["attention"].problem(), k=3, seed=s) for s in (0, 0, 1)]
    values = [ds["eigenvalues"].values for ds in runs]
    assert values[0].tobytes() == values[1].tobytes()
    np.testing.assert_allclose(values[2], values[0], rtol=1e-3)


def test_summary_and_figure_hold_the_same_numbers():
    """Oracle: the dataset."""
    ds = landscape.spectrum(CASES["mlp"].problem(), k=4, which="BE")
    summary = {m.name: m.value for m in landscape.spectrum.summary(ds)}
    assert summary["λ max"] == ds["eigenvalues"].values.max()
    assert summary["λ < 0"] == int((ds["eigenvalues"].values < 0).sum())
    (figure,) = landscape.spectrum.plots({"a": ds, "b": ds})
    for mark in figure.marks:
        np.testing.assert_array_equal(mark.y, ds["eigenvalues"].values)
        np.testing.assert_array_equal(mark.error, ds["residuals"].values)
    assert figure.y.unit == "nats/example"


def test_a_spectrum_is_a_start():
    """Oracle: the same values with fewer products than from a random vector; without vectors, a sentence."""
    problem = CASES["conv_batchnorm"].problem()
    cold = landscape.spectrum(problem, k=3, vectors=True, tol=1e-6)
    warm = landscape.spectrum(problem, k=3, tol=1e-6, start=cold)
    np.testing.assert_allclose(warm["eigenvalues"], cold["eigenvalues"], rtol=1e-6)
    assert int(warm["products"]) < int(cold["products"])
    with pytest.raises(InputError, match=r"no eigenvectors.*vectors=True"):
        landscape.spectrum(problem, k=3, start=warm)


class Killed(BaseException):
    """What ends a run in a test."""


@pytest.mark.parametrize("after", [1, 7, 14, 18])
def test_a_run_that_is_killed_goes_on_where_it_was(after, tmp_path, monkeypatch):
    """Oracle: an uninterrupted run: the same bits, and no product is made twice."""
    monkeypatch.setattr(_lanczos, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(_lanczos, "LEAST_SHARE", 0.0)
    analysis = landscape.analyses()["spectrum"]
    params = analysis.validate({"k": 3, "tol": 1e-6, "vectors": True})
    calls = []

    def whole(fraction):
        calls.append(fraction)

    expected = analysis.run(CASES["conv_batchnorm"].problem(), params, Context(whole))
    total = len(calls)
    assert total > after
    calls.clear()

    def doomed(fraction):
        calls.append(fraction)
        if len(calls) == after:
            raise Killed

    with pytest.raises(Killed):
        analysis.run(CASES["conv_batchnorm"].problem(), params, Context(doomed, tmp_path / "partial"))
    found = analysis.run(CASES["conv_batchnorm"].problem(), params, Context(whole, tmp_path / "partial"))
    assert len(calls) == total
    for name in expected.variables:
        np.testing.assert_array_equal(found[name].values, expected[name].values)


def test_partial_progress_of_other_options_is_refused(tmp_path):
    """Oracle: the words of the sentence."""
    analysis = landscape.analyses()["spectrum"]
    problem = CASES["mlp"].problem()
    analysis.run(problem, analysis.validate({"k": 2}), Context(partial=tmp_path / "partial"))
    with pytest.raises(InputError, match="another options"):
        analysis.run(problem, analysis.validate({"k": 3}), Context(partial=tmp_path / "partial"))


def test_pyhessian_on_request():
    """Oracle: NumPy on the exact Hessian, as near as its residuals say; what it cannot do is named."""
    problem = CASES["mlp"].problem()
    exact = np.linalg.eigvalsh(CASES["mlp"].exact_hessian().numpy())
    ds = landscape.spectrum(problem, k=3, engine="pyhessian", vectors=True)
    errors = np.abs(ds["eigenvalues"].values[:, None] - exact).min(1)
    assert (errors <= ds["residuals"].values).all()
    assert ds["eigenvectors"].shape == (problem.size, 3)
    assert not bool(ds["complete"])
    same = landscape.spectrum(problem, k=3, engine="pyhessian", search=False)  # it never searches
    np.testing.assert_array_equal(same["eigenvalues"], ds["eigenvalues"])
    assert not bool(same["complete"])
    assert "may be missing" in landscape.spectrum.plots({"a": ds})[0].caption
    for options in ({"which": "SA"}, {"start": torch.ones(problem.size)}):
        with pytest.raises(InputError, match="largest magnitude from random vectors"):
            landscape.spectrum(problem, k=2, engine="pyhessian", **options)


def checkpoints(name, tags):
    """Results that a zoo has labelled."""
    ds = landscape.spectrum(CASES["mlp"].problem(), k=3)
    return {
        f"{name}-{i}": ds.assign_attrs(group=name, model_seed=0, tags=json.dumps(tag))
        for i, tag in enumerate(tags)
    }


def test_spectra_along_training():
    """Oracle: the tags: a curve and points per training, against the epoch, in order."""
    first = checkpoints("a", [{"epoch": 5}, {"epoch": 1, "step": 10}, {"epoch": 3}])
    second = checkpoints("b", [{"epoch": 2}, {"epoch": 4}])
    lone = checkpoints("c", [{"epoch": 9}, {}])
    figures = {f.name: f for f in landscape.spectrum.plots(first | second | lone)}
    marks = figures["training"].marks
    assert figures["training"].x.label == "epoch"
    assert [m.x.tolist() for m in marks[::2]] == [[1, 3, 5], [2, 4]]
    np.testing.assert_array_equal(marks[0].y, 3 * [float(first["a-1"]["eigenvalues"].max())])
    np.testing.assert_array_equal(marks[1].y[:3], first["a-1"]["eigenvalues"])
    assert marks[1].x.tolist() == 3 * [1] + 3 * [3] + 3 * [5]
    assert {m.series.model for m in marks} == {"a seed 0", "b seed 0"}
    assert len(landscape.spectrum.plots(lone)) == 1
    steps = checkpoints("s", [{"step": 100}, {"step": 200}])
    assert landscape.spectrum.plots(steps)[1].x.label == "step"


def tailed(weight_decay=0.0):
    """A loss whose Hessian has the quantiles of a power law of α = 2.5, and as large negative eigenvalues."""
    n = 120
    quantiles = (1.0 - (np.arange(n) + 0.5) / n) ** (-1.0 / 1.5)

    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(2 * n, dtype=torch.float64))
            self.register_buffer("h", torch.from_numpy(np.concatenate([quantiles, -0.9 * quantiles])))

        def forward(self, x):
            return x + 0.5 * (self.h * self.w.square()).sum()

    def loss(output, target):
        return output[:, 0]

    data = (torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64))
    return landscape.Problem(Quadratic(), loss, data, weight_decay=weight_decay), quantiles


@pytest.mark.parametrize("which", ["LM", "LA", "BE"])
def test_the_tail_of_a_known_power_law(which):
    """Oracle: the exponent that the eigenvalues are quantiles of; weight decay moves them, and not that."""
    problem, _ = tailed(weight_decay=0.5)
    ds = landscape.spectrum(problem, k=120, which=which, resamples=20)
    assert float(ds["alpha"]) == pytest.approx(2.5, abs=0.2)
    assert str(ds["tail"].values) == "power law"
    assert float(ds["rank_exponent"]) == pytest.approx(1 / (float(ds["alpha"]) - 1))
    assert "α" in [m.name for m in landscape.spectrum.summary(ds)]


def test_few_eigenvalues_have_no_exponent_in_the_summary():
    """Oracle: by inspection: ten values tell nothing, and the smallest ones are no tail of the largest."""
    problem, _ = tailed()
    few = landscape.spectrum(problem, k=10, which="LA", resamples=5)
    assert str(few["tail"].values) in ("few values", "rejected", "none")
    assert "α" not in [m.name for m in landscape.spectrum.summary(few)]
    assert "alpha" not in landscape.spectrum(problem, k=4, which="SA", resamples=5)

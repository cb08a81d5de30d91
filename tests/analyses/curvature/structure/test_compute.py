"""``structure`` against exact Hessians and Gauss-Newton matrices of tiny networks, and linear models."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import CASES, regression
from torch import nn

import landscape
from landscape import Problem
from landscape.base.analysis import Context
from landscape.base.figure import Guide, Heatmap
from landscape.errors import InputError

NAMES = ["mlp", "conv_batchnorm", "attention"]
DECAY = 0.02
_found: dict[str, tuple] = {}


def result(name):
    """A result with everything exact about it: dataset, problem, H, G."""
    if name not in _found:
        problem = CASES[name].problem(weight_decay=DECAY)
        H, G = landscape.hessian(problem).dense().numpy(), landscape.ggn(problem).dense().numpy()
        _found[name] = (landscape.structure(problem, k=6, tol=1e-9, steps=60), problem, H, G)
    return _found[name]


def leading(matrix, k):
    """The k eigenpairs of largest magnitude by NumPy."""
    w, U = np.linalg.eigh(matrix)
    order = np.argsort(-np.abs(w), kind="stable")[:k]
    return w[order], U[:, order]


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_in_the_leading_space(name):
    """Oracle: NumPy's eigenvectors of the exact Hessian."""
    ds, problem, H, _ = result(name)
    w, U = leading(H, 6)
    g = problem.gradient().numpy()
    np.testing.assert_allclose(ds["eigenvalues"], w, atol=1e-8)
    np.testing.assert_allclose(np.abs(ds["gradient_overlap"]), np.abs(g @ U), atol=1e-6)
    np.testing.assert_allclose(ds["gradient_share"], (g @ U) ** 2 / (g @ g), atol=1e-6)
    assert float(ds["gradient_norm"]) == pytest.approx(np.linalg.norm(g), rel=1e-12)
    assert bool(ds["converged"])


@pytest.mark.parametrize("name", NAMES)
def test_the_split_of_each_eigenvalue(name):
    """Oracle: quadratic forms with the dense matrices; both ends of H - G by NumPy."""
    ds, _, H, G = result(name)
    _, U = leading(H, 6)
    part = (U * (G @ U)).sum(0)
    np.testing.assert_allclose(ds["ggn_quotient"], part, atol=1e-6)
    np.testing.assert_allclose(ds["residual_quotient"], ds["eigenvalues"] - part, atol=1e-6)
    _, W = leading(G, 6)
    np.testing.assert_allclose(ds["ggn_overlap"], np.square(W.T @ U).sum(0), atol=1e-5)
    ends = np.linalg.eigvalsh(H - G)
    scale = np.abs(ends).max()
    assert float(ds["residual_max"]) == pytest.approx(ends[-1], abs=1e-3 * scale)
    assert float(ds["residual_min"]) == pytest.approx(ends[0], abs=1e-3 * scale)
    assert float(ds["residual_norm"]) == pytest.approx(scale, rel=1e-3)
    assert int(ds["above_residual"]) == int((ds["eigenvalues"] - DECAY > scale).sum())


@pytest.mark.parametrize("name", NAMES)
def test_totals_lie_within_their_errors(name):
    """Oracle: traces and Frobenius norms of the dense matrices."""
    ds, problem, H, G = result(name)
    for prefix, exact in (("", H), ("ggn_", G), ("residual_", H - G)):
        assert abs(float(ds[f"{prefix}trace"]) - np.trace(exact)) < 4 * float(ds[f"{prefix}trace_se"])
        error = abs(float(ds[f"{prefix}frobenius"]) - np.linalg.norm(exact))
        assert error < 4 * float(ds[f"{prefix}frobenius_se"])
        assert float(ds[f"{prefix}layer_trace"].sum()) == pytest.approx(float(ds[f"{prefix}trace"]), rel=1e-9)
    assert int(ds["layer_size"].sum()) == problem.size


@pytest.mark.parametrize("by", ["module", "parameter"])
def test_shares_of_layers(by):
    """Oracle: slices of NumPy's eigenvectors at the parameters' borders."""
    ds = landscape.structure(CASES["mlp"].problem(), k=3, tol=1e-9, by=by)
    names = [n for n, _ in CASES["mlp"].model().named_parameters()]
    sizes = [p.numel() for p in CASES["mlp"].model().parameters()]
    _, U = leading(CASES["mlp"].exact_hessian().numpy(), 3)
    owners = np.repeat([n if by == "parameter" else n.rpartition(".")[0] for n in names], sizes)
    assert ds["layer"].values.tolist() == list(dict.fromkeys(owners))
    for layer, size, row in zip(ds["layer"].values, ds["layer_size"], ds["layer_share"], strict=True):
        assert int(size) == (owners == layer).sum()
        np.testing.assert_allclose(row, np.square(U[owners == layer]).sum(0), atol=1e-6)
    assert float(ds["gradient_layer_share"].sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_effective_dimension(name):
    """Oracle: the sum over eigenvalues of the dense Gauss-Newton matrix without weight decay."""
    ds, _, _, G = result(name)
    w = np.maximum(np.linalg.eigvalsh(G) - DECAY, 0)
    exact = (w[:, None] / (w[:, None] + ds["alpha"].values)).sum(0)
    error = 4 * ds["effective_dimension_se"].values + 1e-6
    assert (ds["effective_dimension_low"] - error <= exact).all()
    assert (exact <= ds["effective_dimension_high"] + error).all()


@pytest.mark.parametrize("loss", ["mse", "half_squared_error"])
def test_linear_models_have_no_residual(loss):
    """Oracle: theory: the Hessian of a model linear in θ is its Gauss-Newton matrix."""
    ds = landscape.structure(Problem(nn.Linear(4, 1).double(), loss, regression()), k=3, tol=1e-10)
    scale = float(ds["eigenvalues"][0])
    for name in ("residual_norm", "residual_frobenius", "residual_trace"):
        assert abs(float(ds[name])) < 1e-12 * scale
    np.testing.assert_allclose(ds["ggn_eigenvalues"], ds["eigenvalues"], rtol=1e-9)
    np.testing.assert_allclose(ds["residual_quotient"], 0, atol=1e-9 * scale)
    np.testing.assert_allclose(ds["ggn_overlap"], 1, atol=1e-9)
    assert int(ds["above_residual"]) == 3
    assert "classes" not in ds


def test_a_minimum_has_no_direction():
    """Oracle: least squares solved exactly: the gradient is rounding or zero, and shares are no error."""
    x = torch.eye(4).double()
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.zero_()
    problem = Problem(model, "mse", (x, torch.zeros(4, 1).double()))
    ds = landscape.structure(problem, k=2)
    assert float(ds["gradient_norm"]) == 0.0
    assert np.isnan(ds["gradient_share"]).all()
    assert (landscape.sharpness(problem, samples=2)["sharpness"] == 0).all()


class Stopped(BaseException):
    """What ends a run in a test."""


def test_a_run_that_is_killed_keeps_its_finished_stages(tmp_path):
    """Oracle: an uninterrupted run; the stages done are not multiplied anew."""
    analysis = landscape.analyses()["structure"]
    params = analysis.validate({"k": 4})
    whole = analysis.run(CASES["mlp"].problem(), params)

    def stop(fraction):
        if fraction > 0.75:
            raise Stopped

    with pytest.raises(Stopped):
        analysis.run(CASES["mlp"].problem(), params, Context(stop, tmp_path / "partial"))
    pieces = {file.stem for file in (tmp_path / "partial").glob("*.npz")}
    assert {"hessian", "ggn", "residual"} <= pieces
    again = analysis.run(CASES["mlp"].problem(), params, Context(partial=tmp_path / "partial"))
    for name in whole.variables:
        np.testing.assert_array_equal(again[name].values, whole[name].values)


def test_pictures_hold_the_numbers():
    """Oracle: the dataset."""
    ds = result("mlp")[0]
    assert int(ds["classes"]) == 3
    figures = {f.name: f for f in landscape.structure.plots({"a": ds, "b": ds})}
    assert set(figures) == {"gradient", "split", "layers_0", "layers_1", "norms", "dimension"}
    bars, line = figures["gradient"].marks[:2]
    np.testing.assert_array_equal(bars.y, ds["gradient_share"])
    np.testing.assert_allclose(line.y, np.cumsum(ds["gradient_share"]))
    (guide,) = (m for m in figures["gradient"].marks if isinstance(m, Guide))
    assert guide.x == 3.5
    few = ds.isel(eigenpair=slice(3))  # no room on the axis for what lies beyond the last rank
    assert not any(isinstance(m, Guide) for m in landscape.structure.plots({"a": few})[0].marks)
    heat = next(m for m in figures["layers_0"].marks if isinstance(m, Heatmap))
    np.testing.assert_allclose(heat.z.sum(0), 1.0)
    np.testing.assert_array_equal(heat.z[:, :6], ds["layer_share"])
    assert figures["layers_0"].x.categories[-2:] == ("∇L", "even")
    summary = {m.name: m.value for m in landscape.structure.summary(ds)}
    assert summary["gradient in top k"] == pytest.approx(float(ds["gradient_share"].sum()))


def test_results_of_before_sharpness_had_an_analysis_of_its_own():
    """Oracle: what such results held: their picture and their number are as they were."""
    new = result("mlp")[0]
    radii, rises = [0.1, 0.2, 0.5], [0.01, 0.03, 0.2]
    old = new.assign(sharpness=("radius", rises), sharpness_first_order=("radius", rises))
    old = old.assign_coords(radius=radii).assign_attrs(schema_version=1)
    assert landscape.structure.figures({"a": old})[-1].name == "sharpness"
    assert [m.value for m in landscape.structure.summary(old) if m.name == "sharpness"] == [0.03]
    assert len(landscape.structure.summary(old)) == len(landscape.structure.summary(new)) + 1
    assert "sharpness" not in {f.name for f in landscape.structure.figures({"a": old, "b": new})}


def test_a_loss_that_is_not_finite_is_named():
    """Oracle: the words of the sentence."""
    x, y = regression()
    y[2] = math.inf
    with pytest.raises(InputError, match="no curvature"):
        landscape.structure(Problem(nn.Linear(4, 1).double(), "mse", (x, y)))

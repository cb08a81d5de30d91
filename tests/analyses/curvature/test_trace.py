"""The trace of a network's Hessian against its exact entries."""

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape.errors import InputError


@pytest.mark.parametrize("name", ["mlp", "conv_batchnorm", "attention"])
def test_small_networks_are_exact(name):
    """Independent: the Hessian by differentiating twice in plain torch, cut at the parameters' borders."""
    case = CASES[name]
    exact = case.exact_hessian()
    ds = landscape.trace(case.problem(), rel_se=1e-5, diagonal=True)
    assert float(ds["trace"]) == pytest.approx(float(exact.trace()), rel=1e-9)
    assert float(ds["frobenius"]) == pytest.approx(float(exact.norm()), rel=1e-9)
    np.testing.assert_allclose(ds["diagonal"], exact.diagonal(), atol=1e-9)
    names = [n for n, p in case.model().named_parameters() if p.requires_grad]
    assert ds["layer"].values.tolist() == names
    start = 0
    for size, found in zip(ds["layer_size"].values, ds["layer_trace"].values, strict=True):
        block = exact.diagonal()[start : start + size]
        assert found == pytest.approx(float(block.sum()), abs=1e-9)
        start += size
    assert bool(ds["converged"])
    assert float(ds["trace_se"]) == 0.0


def regression(weight_decay: float = 0.0) -> tuple[landscape.Problem, torch.Tensor]:
    """Linear regression of 500 inputs, a few of them large; H = XᵀX/N + λI in closed form."""
    g = torch.Generator().manual_seed(0)
    scales = torch.cat([torch.linspace(10, 3, 8), torch.rand(492, generator=g)])
    x = torch.randn(300, 500, generator=g, dtype=torch.float64) * scales
    model = nn.Linear(500, 1, bias=False).double()
    problem = landscape.Problem(
        model,
        "half_squared_error",
        (x, torch.zeros(300, 1, dtype=torch.float64)),
        weight_decay=weight_decay,
    )
    return problem, x.T @ x / 300 + weight_decay * torch.eye(500)


@pytest.mark.parametrize("operator", ["hessian", "ggn"])
@pytest.mark.parametrize("method", ["hutch++", "hutchinson"])
def test_regression_lies_within_its_error(operator, method):
    """Independent: closed form; the Hessian is its own Gauss-Newton matrix. Four errors at most."""
    problem, exact = regression(weight_decay=0.2)
    ds = landscape.trace(problem, operator=operator, method=method, rel_se=0.05)
    assert abs(float(ds["trace"]) - float(exact.trace())) < 4 * float(ds["trace_se"])
    assert abs(float(ds["frobenius"]) - float(exact.norm())) < 4 * float(ds["frobenius_se"])
    assert float(ds["trace_se"]) <= 0.05 * float(ds["trace"])
    assert "diagonal" not in ds


def test_layers_sum_to_the_trace():
    """Independent: the sum over layers, whose estimates share all probes."""
    ds = landscape.trace(CASES["transformer_dict"].problem(), rel_se=0.2)
    assert int(ds["samples"]) >= 12
    assert float(ds["layer_trace"].sum()) == pytest.approx(float(ds["trace"]), rel=1e-9)


def test_the_picture_shows_models_side_by_side_and_layers_by_depth():
    """Independent: ratios of the stored numbers."""
    ds = landscape.trace(CASES["mlp"].problem(), rel_se=1e-4)
    total, layers = landscape.analyses()["trace"].plots({"a": ds, "b": ds})
    assert total.x.categories == ("a", "b")
    points = layers.marks[0]
    np.testing.assert_allclose(points.y, ds["layer_trace"] / ds["layer_size"])
    assert points.texts[0] == "0.weight (20)"


def test_a_loss_that_is_not_finite_is_named():
    """Independent: by inspection."""
    x, y = torch.full((4, 2), 1e30), torch.zeros(4, 1)
    with pytest.raises(InputError, match="no curvature"):
        landscape.trace(landscape.Problem(nn.Linear(2, 1), "mse", (x, y)))


def test_pyhessian_on_request():
    """Independent: the exact trace, within four of the standard errors that come along."""
    case = CASES["mlp"]
    ds = landscape.trace(case.problem(), engine="pyhessian", max_products=50, diagonal=True)
    assert abs(float(ds["trace"]) - float(case.exact_hessian().trace())) < 4 * float(ds["trace_se"])
    assert int(ds["products"]) <= 50
    assert int(ds["sketch"]) == 0
    assert ds.sizes["entry"] == case.problem().size


def test_traces_along_training():
    """Independent: the epochs among the tags."""
    ds = landscape.trace(CASES["mlp"].problem(), rel_se=1e-4)
    runs = {f"m{e}": ds.assign_attrs(group="m", tags=f'{{"epoch": {e}}}') for e in (4, 2)}
    figure = landscape.trace.plots(runs)[1]
    assert figure.name == "training"
    assert figure.marks[0].x.tolist() == [2, 4]
    assert figure.marks[0].y.tolist() == 2 * [float(ds["trace"])]


def test_xtrace_of_a_network():
    """Independent: the Hessian by differentiating twice in plain torch."""
    case = CASES["mlp"]
    exact = case.exact_hessian()
    small = landscape.trace(case.problem(), method="xtrace", rel_se=1e-6)
    assert float(small["trace"]) == pytest.approx(float(exact.trace()), rel=1e-9)
    problem, H = regression()
    ds = landscape.trace(problem, method="xtrace", rel_se=0.02, max_products=300)
    assert bool(ds["converged"]) and int(ds["samples"]) > 0
    assert float(ds["trace"]) == pytest.approx(float(H.trace()), abs=4 * float(ds["trace_se"]))
    assert float(ds["layer_trace"].sum()) == pytest.approx(float(ds["trace"]), rel=1e-9)


def test_a_result_says_which_estimator_it_comes_from(monkeypatch):
    """Independent: closed form; free memory is made as small as 50 and 20 vectors, less 8 for a product."""
    from landscape.core.linalg import room

    problem, exact = regression(weight_decay=0.2)
    ds = landscape.trace(problem, method="xtrace", rel_se=0.1)
    assert str(ds["estimator"].item()) == "xtrace" and "notice" not in ds
    monkeypatch.setattr(room, "free_memory", lambda unknown: 50 * 500 * 8)
    ds = landscape.trace(problem, method="xtrace", rel_se=0.1)
    assert str(ds["estimator"].item()) == "hutch++" and 0 < int(ds["sketch"]) <= 6
    assert "Hutch++ took its place" in str(ds["notice"].item())
    assert abs(float(ds["trace"]) - float(exact.trace())) < 4 * float(ds["trace_se"])
    monkeypatch.setattr(room, "free_memory", lambda unknown: 20 * 500 * 8)
    with pytest.raises(InputError, match=r"k=10 eigenpairs keep at least 21 vectors .* room for 12"):
        landscape.spectrum(problem, k=10)
    found = landscape.spectrum(problem, k=1)
    largest = float(torch.linalg.eigvalsh(exact).max())
    assert float(found["eigenvalues"][0]) == pytest.approx(largest, rel=1e-4)

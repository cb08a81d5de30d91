"""``input_curvature``: closed form of softmax-linear models, cost, pictures."""

import time

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem


def test_softmax_linear_models_meet_the_closed_form():
    """Oracle: H = F = s⁻²Wᵀ(diag p − ppᵀ)W by pixels of scale s, whatever the label."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).double()
    x = torch.randn(20, 1, 4, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(4, (20,), generator=generator)
    ds = landscape.input_curvature(
        Problem(model, "cross_entropy", (x, y), batch_size=7), mean=(0.5,), std=(0.25,), k=2
    )
    W = model[1].weight.detach() / 0.25
    p = model(x).detach().softmax(1)
    F = torch.stack([W.T @ (row.diag() - row.outer(row)) @ W for row in p])
    values = torch.linalg.eigvalsh(F).flip(1).numpy()
    for name in ("fisher_values", "hessian_values"):
        np.testing.assert_allclose(ds[name], values[:, :2], rtol=1e-10)
    np.testing.assert_allclose(ds["hessian_trace"], values.sum(1), rtol=1e-10)
    np.testing.assert_allclose(ds["fisher_share"], values[:, 0] / values.sum(1), rtol=1e-10)
    assert ds["same"].all() and ds["converged"].all() and not ds["hessian_bottom"].any()
    residual = p - nn.functional.one_hot(y, 4)
    np.testing.assert_allclose(ds["gradient_norm"], (residual @ W).norm(dim=1), rtol=1e-10)
    np.testing.assert_allclose(ds["gradient_l1"], (residual @ W).abs().sum(1), rtol=1e-10)
    z = model(x).detach()
    others = z.scatter(1, y[:, None], -torch.inf)
    margin = z.gather(1, y[:, None])[:, 0] - others.amax(1)
    length = (W[y] - W[others.argmax(1)]).norm(dim=1)
    np.testing.assert_allclose(ds["margin"], margin, rtol=1e-10)
    np.testing.assert_allclose(ds["distance"], margin / length, rtol=1e-10)
    assert float(ds["median_fisher_top"]) == pytest.approx(np.median(values[:, 0]))
    assert {f.name for f in landscape.input_curvature.plots({"a": ds})} == {
        "fisher_top",
        "fisher_trace",
        "gradient_norm",
        "distance",
        "margin",
        "hessian",
    }


def test_without_the_hessian_its_numbers_are_nan_and_not_drawn():
    """Oracle: the declaration; nothing is reported as not converged."""
    problem = Problem(
        nn.Sequential(nn.Flatten(), nn.Linear(16, 3)),
        "cross_entropy",
        (torch.rand(9, 1, 4, 4), torch.arange(9) % 3),
    )
    ds = landscape.input_curvature(problem, hessian=False)
    assert ds["hessian_top"].isnull().all() and ds["converged"].all()
    assert "hessian" not in {f.name for f in landscape.input_curvature.plots({"a": ds})}


def test_cost_is_that_of_the_classes():
    """Oracle: a bare backward pass on the same 128 images: K gradients and little more, at most 15 times.

    Processor time, of which both take the same share on a busy machine; the best of three each.
    """
    from landscape.reference.models import resnet

    model = resnet(width=8).eval()
    x = torch.rand(128, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    y = torch.arange(128) % 10
    problem = Problem(model, "cross_entropy", (x, y))

    def bare():
        at = x.clone().requires_grad_()
        nn.functional.cross_entropy(model(at), y).backward()

    def best(run):
        run()
        times = []
        for _ in range(3):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        return min(times)

    whole = best(lambda: landscape.input_curvature(problem, hessian=False, mean=(0.0,), std=(1.0,)))
    assert whole <= 15 * best(bare)

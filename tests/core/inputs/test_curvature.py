"""Curvature of each image: the dense matrices of small nets, and the shortcut of linear pieces."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape import Problem
from landscape.core.inputs import curvature
from landscape.core.inputs.curvature import image_curvature
from landscape.core.inputs.images import image_parts


def case(act, classes=4, n=6, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.BatchNorm2d(3),
            act,
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(12, classes),
        )
    x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y = torch.arange(n) % classes
    model = model.to(dtype).eval()
    problem = Problem(model, "cross_entropy", (x.to(dtype), y))
    return model, x.to(dtype), y, image_parts(problem, (0.0,), (1.0,), n)[1][0]


def dense(model, x, y):
    """Hessian and Fisher matrix of each image by torch's own derivatives."""
    hessians, fishers = [], []
    for image, label in zip(x, y, strict=True):
        loss = lambda p, label=label: functional.cross_entropy(model(p[None]), label[None])  # noqa: E731
        hessians.append(torch.autograd.functional.hessian(loss, image).reshape(16, 16))
        J = torch.autograd.functional.jacobian(lambda p: model(p[None])[0], image).flatten(1)
        p = model(image[None])[0].softmax(0)
        fishers.append(J.T @ (p.diag() - p.outer(p)) @ J)
    return torch.stack(hessians).detach(), torch.stack(fishers).detach()


@pytest.mark.parametrize("act", [nn.ReLU(), nn.GELU()])
def test_numbers_are_those_of_the_dense_matrices(act):
    """Oracle: LAPACK's eigenvalues of torch's Hessian and of the Fisher formula, image by image."""
    model, x, y, images = case(act)
    H, F = dense(model, x, y)
    found = {
        k: torch.from_numpy(v)
        for k, v in image_curvature(images, count=2, tolerance=1e-8, probes=3000).items()
    }
    values, fisher = torch.linalg.eigvalsh(H), torch.linalg.eigvalsh(F)
    close = {"rtol": 1e-6, "atol": 1e-9}
    torch.testing.assert_close(found["hessian_values"], values.flip(1)[:, :2], **close)
    torch.testing.assert_close(found["hessian_bottom"], values[:, 0], **close)
    torch.testing.assert_close(found["fisher_values"], fisher.flip(1)[:, :2], **close)
    torch.testing.assert_close(found["fisher_trace"], fisher.sum(1), **close)
    torch.testing.assert_close(found["fisher_rank"], fisher.sum(1) ** 2 / fisher.square().sum(1), **close)
    trace = H.diagonal(dim1=1, dim2=2).sum(1)
    off = (H - torch.diag_embed(H.diagonal(dim1=1, dim2=2))).square().sum((1, 2))
    error = (2 * off / 3000).sqrt()  # variance of Hutchinson's estimate with random signs
    assert ((found["hessian_trace"] - trace).abs() <= 4 * error + 1e-9).all()
    assert (found["same"] == isinstance(act, nn.ReLU)).all()
    assert found["converged"].all()
    at = x.clone().requires_grad_()
    losses = functional.cross_entropy(model(at), y, reduction="none")
    slope = torch.autograd.grad(losses.sum(), at)[0].flatten(1)
    torch.testing.assert_close(found["loss"], losses.detach())
    torch.testing.assert_close(found["gradient_norm"], slope.norm(dim=1))
    torch.testing.assert_close(found["gradient_l1"], slope.abs().sum(1))


def test_linear_pieces_are_known_in_single_precision_too():
    """Oracle: the same matrices; only rounding stands between them."""
    found = image_curvature(case(nn.ReLU(), dtype=torch.float32)[-1])
    assert found["same"].all()
    assert not image_curvature(case(nn.GELU(), dtype=torch.float32)[-1])["same"].any()


def test_many_classes_go_by_lanczos(monkeypatch):
    """Oracle: the exact way with the same classes; trace and rank by random signs."""
    images = case(nn.GELU(), classes=5)[-1]
    exact = image_curvature(images, count=2, hessian=False)
    monkeypatch.setattr(curvature, "MOST_CLASSES", 3)
    lanczos = image_curvature(images, count=2, hessian=False, tolerance=1e-8)
    for name in ("fisher_top", "fisher_values"):
        torch.testing.assert_close(
            torch.from_numpy(lanczos[name]), torch.from_numpy(exact[name]), rtol=1e-6, atol=0
        )
    share = torch.from_numpy(lanczos["fisher_trace"] / exact["fisher_trace"])
    assert (share - 1).abs().max() < 0.7  # 32 probes of a matrix of nearly rank one: 25 % each
    assert torch.isnan(torch.from_numpy(exact["hessian_top"])).all()


def test_scaling_the_logits_scales_gradients_and_distance_stays():
    """Oracle: z → cz leaves margin/‖∇ margin‖ alone and multiplies the margin by c."""
    model, x, y, images = case(nn.ReLU())
    once = image_curvature(images, hessian=False)
    with torch.no_grad():
        model[-1].weight.mul_(3)
        model[-1].bias.mul_(3)
    scaled = image_parts(Problem(model, "cross_entropy", (x, y)), (0.0,), (1.0,), 6)[1][0]
    thrice = image_curvature(scaled, hessian=False)
    torch.testing.assert_close(torch.from_numpy(thrice["margin"]), 3 * torch.from_numpy(once["margin"]))
    torch.testing.assert_close(torch.from_numpy(thrice["distance"]), torch.from_numpy(once["distance"]))

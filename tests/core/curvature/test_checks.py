"""Curvature is reported of models whose derivatives are right, and of no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

import landscape
from landscape import Problem
from landscape.core.curvature.checks import check_hessian, check_jacobian, check_loss_curvature
from landscape.core.curvature.fisher import empirical_fisher, fisher
from landscape.core.curvature.operator import ggn, hessian
from landscape.core.problem.derivatives.gradient import check_gradient
from landscape.errors import InputError
from tests.architectures import ARCHITECTURES
from tests.cases import CASES, generator
from tests.wrong_models import CLASSES, SOUND, WRONG_CURVATURE, WRONG_GRADIENTS, Lambda, around, data

CHECKS = (check_gradient, check_hessian, check_jacobian, check_loss_curvature)
DTYPES = (torch.float32, torch.float64)


def problem(model: nn.Module, **options: object) -> Problem:
    return Problem(model, "cross_entropy", data(), **options)  # type: ignore[arg-type]


# What must pass

Losses = dict[str, tuple[object, Callable[[Tensor], Tensor]]]


def normal(output: Tensor) -> Tensor:
    return torch.randn(output.shape, generator=generator(4))


def binary(output: Tensor) -> Tensor:
    return torch.randint(0, 2, output.shape, generator=generator(4)).float()


def signs(output: Tensor) -> Tensor:
    return 2 * binary(output) - 1


def classes(output: Tensor) -> Tensor:
    shape = (len(output), *output.shape[2:])
    return torch.randint(0, output.shape[1], shape, generator=generator(4))


def focal(output: Tensor, target: Tensor) -> Tensor:
    return ((1 - output.sigmoid()) ** 2 * F.softplus(-output * target)).flatten(1).mean(1)


def hinge(output: Tensor, target: Tensor) -> Tensor:
    return (1 - output * target).clamp(min=0).flatten(1).mean(1)


LOSSES: Losses = {
    "cross_entropy": ("cross_entropy", classes),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), classes),
    "mse": ("mse", normal),
    "half_squared_error": ("half_squared_error", normal),
    "sum": (nn.MSELoss(reduction="sum"), normal),
    "scalar": (lambda output, target: F.mse_loss(output, target), normal),
    "l1": (nn.L1Loss(), normal),
    "huber": (nn.HuberLoss(), normal),
    "bce": (nn.BCEWithLogitsLoss(), binary),
    "poisson": (nn.PoissonNLLLoss(), binary),
    "soft margin": (nn.SoftMarginLoss(), signs),
    "focal": (focal, signs),
    "hinge": (hinge, signs),
    "multi margin": (nn.MultiMarginLoss(p=2), classes),
}


@pytest.mark.parametrize("name", CASES)
def test_no_case_is_refused(name: str) -> None:
    """In both precisions, with the checkpoint's statistics and those of the batch."""
    for dtype in DTYPES:
        for batchnorm in ("checkpoint", "batch"):
            found = CASES[name].problem(dtype=dtype, batchnorm=batchnorm)
            found.vouch(*CHECKS)
            assert found.derivatives.facts() == {}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_architecture_is_refused(name: str) -> None:
    """With every loss. One of them writes to what its graph needs: torch itself cannot differentiate it."""
    model, x = ARCHITECTURES[name].build().eval(), ARCHITECTURES[name].inputs()
    with torch.no_grad():
        output = model(x)
    tokens = name in ("language", "rotary", "qk-norm", "shared keys", "experts")
    for label, (loss, target) in LOSSES.items():
        if label == "multi margin" and output.ndim != 2:
            continue
        last = label == "cross_entropy" and tokens  # by name it reads the classes along the last axis
        y = classes(output.movedim(-1, 1)) if last else target(output)
        found = Problem(model, loss, (x, y), dtype=DTYPES[len(label) % 2])
        if name == "branches":
            with pytest.raises(InputError, match="Branches overwrites values in place"):
                found.vouch(*CHECKS)
            continue
        found.vouch(*CHECKS)
        assert found.derivatives.facts() == {}, label


@pytest.mark.parametrize("kind", SOUND)
def test_products_of_sound_models_are_those_of_autograd(kind: str) -> None:
    """Units off, kinks, float32 inside. Oracle: autograd's own double backward of the plain model."""
    model = SOUND[kind]().eval()
    x, y = data()
    found = problem(model)
    v = torch.randn(found.size, generator=generator(2))
    parameters = list(model.parameters())
    if kind == "hard sigmoid":  # torch has no second derivative of its own
        model[1] = Lambda(lambda z: (z / 6 + 0.5).clamp(0, 1))
    with torch.enable_grad():
        loss = F.cross_entropy(model(x), y)
        grads = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
        parts = zip(grads, torch.split(v, [p.numel() for p in parameters]), strict=True)
        slope = sum((g.reshape(-1) @ part for g, part in parts if g is not None), torch.zeros(()))
        rows = torch.autograd.grad(slope, parameters, allow_unused=True)
    expected = found.flatten_grads(rows)
    torch.testing.assert_close(hessian(found) @ v, expected, rtol=1e-3, atol=1e-5)
    assert (ggn(found) @ v).isfinite().all()


# What must not


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", WRONG_CURVATURE)
def test_wrong_second_derivatives_are_refused(kind: str, dtype: torch.dtype) -> None:
    """By every analysis of the Hessian, each time; gradients, which are right, are given.

    So are Gauss-Newton products, but for a backward pass that cannot be differentiated at all: they
    differentiate it, too.
    """
    wrong = problem(around(WRONG_CURVATURE[kind]()), dtype=dtype)
    for analysis in (landscape.spectrum, landscape.trace, landscape.density, landscape.batch_spectra):
        with pytest.raises(InputError, match="not what differences give, in module '1'"):
            analysis(wrong)
    with pytest.raises(InputError, match="not what differences give, in module '1'"):
        landscape.structure(wrong)
    with pytest.raises(InputError, match="not what differences give, in module '1'"):
        landscape.surface(wrong, steps=(3, 3), hessian=True)
    with pytest.raises(InputError, match="not what differences give, in module '1'"):
        landscape.surface(wrong, steps=(3, 3), directions="eigenvectors")
    v = torch.ones(wrong.size, dtype=dtype)
    if kind == "once differentiable":
        with pytest.raises(InputError, match=r"output .* not what differences give, in module '1'"):
            ggn(wrong) @ v
    else:
        assert (ggn(wrong) @ v).isfinite().all()
    assert wrong.gradient().isfinite().all()


@pytest.mark.parametrize("kind", WRONG_GRADIENTS)
def test_operators_of_wrong_gradients_are_refused(kind: str) -> None:
    made = around(WRONG_GRADIENTS[kind]())
    for operator in (hessian, ggn, fisher, empirical_fisher):
        wrong = problem(made)
        with pytest.raises(InputError, match="module '1'"):
            operator(wrong) @ torch.ones(wrong.size)


def test_a_loss_whose_curvature_is_wrong() -> None:
    """Its gradient in the outputs is detached from them: Gauss-Newton takes that to be constant."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.square()

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0].detach()

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return Square.apply(output).sum(1)  # type: ignore[no-untyped-call, no-any-return]

    for operator in (hessian, ggn):
        wrong = Problem(nn.Linear(6, CLASSES), loss, data())
        with pytest.raises(InputError, match="not what differences give, in the loss"):
            operator(wrong) @ torch.ones(wrong.size)


def test_losses_without_second_derivatives() -> None:
    """Of connectionist temporal classification torch has none: a sentence says so."""

    def ctc(output: Tensor, target: Tensor) -> Tensor:
        scores = output[None].expand(3, -1, -1).log_softmax(2)
        lengths = torch.full((len(output),), 3), torch.ones(len(output), dtype=torch.long)
        return F.ctc_loss(scores, target[:, None].clamp(min=1), *lengths)

    for operator in (hessian, ggn):
        without = Problem(nn.Linear(6, CLASSES), ctc, data())
        with pytest.raises(InputError, match=r"cannot be differentiated .* in the loss .*ctc_loss"):
            operator(without) @ torch.ones(without.size)


def test_wrong_curvature_where_only_float32_runs() -> None:
    """There a product must be asymmetric as well, as the true Hessian never is."""

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, g):
            return (g * ctx.saved_tensors[0].cos()).detach()

    class Narrow(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Once.apply(x @ torch.eye(8, dtype=torch.float32))  # type: ignore[no-untyped-call, no-any-return]

    wrong = problem(around(Narrow()))
    with pytest.raises(InputError, match="not what differences give"):
        hessian(wrong) @ torch.ones(wrong.size)

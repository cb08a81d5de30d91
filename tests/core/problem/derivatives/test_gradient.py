"""Losses that do not move as their gradients say are refused, and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

import landscape
from landscape import Problem
from landscape.errors import InputError
from tests.wrong_models import CLASSES, SOUND, WRONG_CURVATURE, WRONG_GRADIENTS, Cut, Unused, around, data


def problem(model: nn.Module, **options: object) -> Problem:
    return Problem(model, "cross_entropy", data(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", WRONG_GRADIENTS)
def test_wrong_gradients_are_refused(kind: str, dtype: torch.dtype) -> None:
    """Each is wrong by its making; the sentence names the module in the middle, where the fault is."""
    made = WRONG_GRADIENTS[kind]()
    refused = problem(around(made), dtype=dtype)
    for _ in range(2):  # not only the first time
        with pytest.raises(InputError, match=rf"in module '1' \({type(made).__name__}\)"):
            refused.gradient()
    with pytest.raises(InputError, match="module '1'"):
        landscape.spectrum(refused, k=1)
    assert landscape.line(refused, steps=3)["loss"].shape == (3,)  # losses are what they are


@pytest.mark.parametrize("kind", [*SOUND, *WRONG_CURVATURE])
def test_right_gradients_pass(kind: str) -> None:
    """Oracle: autograd's own gradient of the plain model."""
    model = SOUND[kind]() if kind in SOUND else around(WRONG_CURVATURE[kind]())
    x, y = data()
    expected = torch.autograd.grad(
        F.cross_entropy(model.eval()(x), y), list(model.parameters()), allow_unused=True
    )
    flat = [
        torch.zeros_like(p).reshape(-1) if g is None else g.reshape(-1)
        for g, p in zip(expected, model.parameters(), strict=True)
    ]
    torch.testing.assert_close(problem(model).gradient(), torch.cat(flat), rtol=1e-4, atol=1e-6)


def test_no_gradient_at_all() -> None:
    """A pass under no_grad, or parameters that are not used: there is nothing to report."""
    with pytest.raises(InputError, match=r"no gradient in any chosen parameter, in module '1'"):
        problem(nn.Sequential(nn.Linear(6, 8), Cut(), nn.Linear(8, 3)), parameters="1.*").gradient()
    with pytest.raises(InputError, match="no gradient in any chosen parameter"):
        problem(Unused(), parameters="head.*").gradient()

    class Inference(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            with torch.inference_mode():
                return super().forward(x)

    for operator in ("hessian", "ggn"):
        with pytest.raises(InputError, match="no gradient in any chosen parameter"):
            landscape.spectrum(problem(Inference(6, 3)), k=1, operator=operator)


def test_parameters_that_are_not_used_are_named() -> None:
    found = landscape.spectrum(problem(Unused()), k=1)
    assert found.attrs["without_gradient"] == "head.weight, head.bias"
    assert "derivatives_notice" not in found.attrs


def test_a_loss_at_fault_is_named() -> None:
    """A focal loss with a detached factor does not move as its gradient says."""

    def focal(output: Tensor, target: Tensor) -> Tensor:
        p = output.softmax(1).gather(1, target[:, None])[:, 0]
        return (1 - p).detach() ** 2 * F.cross_entropy(output, target, reduction="none")

    with pytest.raises(InputError, match="as its gradient says, in the loss"):
        Problem(nn.Linear(6, CLASSES), focal, data()).gradient()


def test_stationary_points_and_flat_losses() -> None:
    """A least-squares solution has no gradient, and a hinge none on its flat side: both are right."""
    x, _ = data()
    target = torch.randn(len(x), 2, dtype=torch.float64)
    wide = torch.cat([x.double(), torch.ones(len(x), 1)], 1)
    solution = torch.linalg.lstsq(wide, target).solution.T
    model = nn.Linear(6, 2).double()
    model.weight.data, model.bias.data = solution[:, :6].clone(), solution[:, 6].clone()
    for dtype, size in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        assert float(Problem(model, "mse", (x, target), dtype=dtype).gradient().norm()) < size

    def hinge(output: Tensor, target: Tensor) -> Tensor:
        return (output.abs() - 1e3).clamp(min=0).sum(1)

    assert not Problem(nn.Linear(6, 2), hinge, (x, target)).gradient().any()


@pytest.mark.parametrize("activation", [nn.Hardtanh, nn.Hardsigmoid, nn.ReLU6])
def test_saturated_units_are_no_cut(activation: Callable[[], nn.Module]) -> None:
    """The loss jumps, but for narrow slopes, when weights move; autograd's zero gradient is right here."""
    torch.manual_seed(1)
    model = around(activation())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e4)
    assert problem(model).gradient().isfinite().all()


def test_steps_of_large_weights_are_still_a_cut() -> None:
    """A sign jumps where a saturated unit slopes, however large the weights are."""

    class Sign(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sign()

    model = around(Sign())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e4)
    with pytest.raises(InputError, match=r"has no gradient in parameter '0\.weight'"):
        problem(model).gradient()


def test_a_gradient_that_is_rounding_is_told_as_such() -> None:
    """Attention of weights a million times too large: differences find 8e4 where autograd says 2e13."""
    torch.manual_seed(1)
    model = Attention()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e6)
    with pytest.raises(InputError, match="gradient of the loss of Attention is rounding alone"):
        problem(model).gradient()


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attend = nn.Linear(6, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x[:, None] * torch.linspace(0.5, 1.5, 4, dtype=x.dtype)[None, :, None])
        return self.head(self.norm(h + self.attend(h, h, h, need_weights=False)[0]).mean(1))


def test_what_is_not_finite_stays_so() -> None:
    model = nn.Linear(6, CLASSES)
    found = Problem(model, lambda output, target: (output * torch.nan).sum(1), data()).gradient()
    assert found.isnan().all()


def test_a_model_that_cannot_be_differentiated() -> None:
    """A tensor that the graph needs is written to: torch's error, in a sentence with the model's name."""

    class Writes(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            z = super().forward(x).exp()
            return z * z.add_(1)

    with pytest.raises(InputError, match="Writes overwrites values in place"):
        problem(Writes(6, 3)).gradient()


def test_the_switch() -> None:
    """Who knows what is differentiated may go on; the result says so."""
    model = around(WRONG_GRADIENTS["straight-through"]())
    found = landscape.spectrum(problem(model, check_derivatives=False), k=1)
    assert "not checked" in found.attrs["derivatives_notice"]


def test_curves_are_not_trained_by_wrong_gradients() -> None:
    model = around(WRONG_GRADIENTS["straight-through"]())
    states = model.state_dict(), around(WRONG_GRADIENTS["straight-through"]()).state_dict()
    landscape.connect(problem(model), *states, steps=3)  # losses are what they are
    for method in ("bezier", "neb"):
        with pytest.raises(InputError, match="module '1'"):
            landscape.connect(problem(model), *states, steps=3, method=method, epochs=1)

"""The caller's torch settings do not reach what a problem computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from torch import Tensor, nn

import landscape
from landscape.core.ambient import own_context, under_own_context
from landscape.core.problem.problem import Problem
from tests.cases import generator


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def rounded_products() -> Iterator[None]:
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


SETTINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "default_dtype": default_dtype,
    "default_device": default_device,
    "deterministic": deterministic,
    "rounded_products": rounded_products,
}


def made() -> tuple[nn.Module, Tensor, Tensor]:
    draw = generator(3)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw) / 2
    return model, torch.randn(30, 4, generator=draw), torch.randint(0, 3, (30,), generator=draw)


def numbers(model: nn.Module, x: Tensor, y: Tensor) -> list[float]:
    problem = Problem(model, "cross_entropy", (x, y))
    product = landscape.hessian(problem) @ torch.arange(problem.size, device="cpu")
    spectrum = landscape.spectrum(problem, k=2)["eigenvalues"].values
    line = landscape.line(problem, steps=3)["loss"].values
    return [problem.loss(), *problem.gradient().tolist(), *product.tolist(), *spectrum, *line]


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("setting", SETTINGS)
def test_numbers_inside_equal_those_outside(setting: str) -> None:
    """The oracle is the same code outside: equal bit for bit; the caller's setting is back afterwards."""
    model, x, y = made()
    outside = numbers(model, x, y)
    with SETTINGS[setting]():
        before = (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled())
        inside = numbers(model, x, y)
        assert before == (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled())
    assert inside == outside


def test_tensors_made_in_inference_mode() -> None:
    """A model, data, a state and a vector made there are copied: the numbers are those of their values."""
    model, x, y = made()
    expected = numbers(model, x, y)
    with torch.inference_mode():
        stuck, x, y = made()
        v = torch.ones(sum(p.numel() for p in model.parameters()))
    assert numbers(stuck, x, y) == expected
    problem = Problem(stuck, "cross_entropy", (x, y))
    H = landscape.hessian(problem)
    torch.testing.assert_close(H @ v, H @ torch.ones(problem.size), rtol=0, atol=0)
    landscape.connect(problem, stuck.state_dict(), model.state_dict())


class Constants(nn.Module):
    """Makes a tensor without saying of which dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.addmm(torch.zeros(len(x), 4), x, torch.eye(4)))


def test_constants_of_a_float64_model() -> None:
    """Programs that compute in float64 set it as the default and make constants so; torch refuses a mix."""
    _, x, y = made()
    with default_dtype():
        model = Constants()
        inside = Problem(model, "cross_entropy", (x.double(), y)).loss()
    assert Problem(model, "cross_entropy", (x.double(), y)).loss() == inside
    expected = nn.functional.cross_entropy(model.linear(x.double()), y)
    assert inside == pytest.approx(expected.item(), rel=1e-14)


def test_compiled_parts() -> None:
    """A compiled submodule has no second derivatives; run as written it has those of the plain model."""
    model, x, y = made()
    expected = numbers(model, x, y)
    compiled = nn.Sequential(torch.compile(model[:2], backend="aot_eager"), model[2])
    compiled(x)
    assert numbers(compiled, x, y) == expected


def test_precision_is_recorded_where_it_is_not_plain() -> None:
    """Provenance says bfloat16 passes, and nothing of a plain problem under the caller's autocast."""
    from landscape.core.problem.execution import in_bfloat16

    model, x, y = made()
    problem = Problem(model, "cross_entropy", (x, y))
    assert in_bfloat16(problem).provenance()["precision"] == "bfloat16"
    with torch.autocast("cpu", torch.bfloat16):
        assert "precision" not in landscape.line(problem, steps=3).attrs
        assert in_bfloat16(problem).loss() != problem.loss()


def test_own_settings_within_are_kept() -> None:
    """What is chosen inside, such as bfloat16 passes, is not the caller's and stays."""
    with own_context(), torch.no_grad():
        assert not under_own_context(torch.is_grad_enabled)()
    with torch.no_grad():
        assert under_own_context(torch.is_grad_enabled)()


def test_a_forward_pass_that_derives_by_its_inputs() -> None:
    """A physics-informed loss needs a graph to be measured. Oracle: u = w x², so that u' = 2 w x by hand."""

    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor(1.5, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            x = x.requires_grad_(True)
            u = self.w * x.square()
            (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
            return slope

    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    problem = Problem(Square(), "mse", (x, torch.zeros_like(x)))
    assert problem.loss() == pytest.approx(4 * 1.5**2 * 2.5, rel=1e-14)
    assert problem.gradient().item() == pytest.approx(8 * 1.5 * 2.5, rel=1e-14)
    assert landscape.line(problem, steps=3)["loss"].values[1] == problem.loss()

"""Layers with short cuts for training have the derivatives of the loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import landscape
from landscape.core.problem.problem import Problem
from tests.cases import generator


class Words(nn.Module):
    def __init__(self, kind: type[nn.Module], **options: Any) -> None:
        super().__init__()
        self.table = kind(9, 5, **options)
        self.head = nn.Linear(5, 4)

    def forward(self, words: Tensor) -> Tensor:
        rows = self.table(words)
        return self.head(torch.tanh(rows if rows.ndim == 2 else rows.mean(1)))


OPTIONS: list[tuple[type[nn.Module], dict[str, Any]]] = [
    (nn.Embedding, {"padding_idx": 0}),
    (nn.Embedding, {"sparse": True}),
    (nn.Embedding, {"max_norm": 1.0}),
    (nn.Embedding, {"scale_grad_by_freq": True}),
    (nn.EmbeddingBag, {"mode": "mean"}),
    (nn.EmbeddingBag, {"mode": "max"}),
    (nn.EmbeddingBag, {"mode": "sum", "sparse": True, "padding_idx": 2}),
    (nn.EmbeddingBag, {"mode": "mean", "max_norm": 1.0}),
]


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_derivatives_are_those_of_the_loss(kind: type[nn.Module], options: dict[str, Any]) -> None:
    """Oracle: central differences of the loss and of the gradient, which know no derivative."""
    torch.manual_seed(1)
    words = torch.randint(0, 9, (12, 6), generator=generator(2))
    labels = torch.randint(0, 4, (12,), generator=generator(3))
    problem = Problem(Words(kind, **options).double(), "cross_entropy", (words, labels))
    v = torch.randn(problem.size, generator=generator(4), dtype=torch.float64)
    v, h = v / v.norm(), 1e-5
    there, back = problem.theta + h * v, problem.theta - h * v
    slope = (problem.measure(there).loss - problem.measure(back).loss) / (2 * h)
    assert float(problem.gradient() @ v) == pytest.approx(slope, rel=1e-6, abs=1e-9)
    product = (problem.gradient(there) - problem.gradient(back)) / (2 * h)
    torch.testing.assert_close(landscape.hessian(problem) @ v, product, rtol=1e-6, atol=1e-9)

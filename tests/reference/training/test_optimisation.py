import math

import numpy as np
import pytest
import torch
from torch import nn

from landscape.reference.models import mlp
from landscape.reference.training.loop import train
from landscape.reference.training.optimisation import make_optimizer

DATA = (torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", lambda t: 1.0),
        ("cosine", lambda t: (1 + math.cos(math.pi * t)) / 2),
        ("warmup_cosine", lambda t: np.interp(t, [0, 0.1], [0, 1]) * warm_cosine(t)),
        ("step", lambda t: [1, 1, 1, 0.2, 0.2, 0.2, 0.04, 0.04, 0.008, 0.008][round(10 * t)]),
    ],
)
def test_learning_rates(tmp_path, monkeypatch, schedule, expected):
    """Oracle: the schedules' formulas, read off the optimizer at each of ten steps."""
    seen = []
    step = torch.optim.SGD.step

    def spy(self, *arguments):
        seen.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    train(
        mlp((64, 3)),
        DATA,
        DATA,
        path=tmp_path / "a.safetensors",
        epochs=5,
        batch_size=12,
        optimizer="sgd",
        lr=0.5,
        schedule=schedule,
    )
    np.testing.assert_allclose(seen, [0.5 * expected(i / 10) for i in range(10)], atol=1e-12)


def warm_cosine(t):
    return 1.0 if t < 0.1 else (1 + math.cos(math.pi * (t - 0.1) / 0.9)) / 2


def test_adamw_decays_weights_apart_from_its_step():
    """Oracle: Loshchilov & Hutter's first step by hand: θ(1 − lr·λ) − lr·sign(g), up to the 1e-8 of Adam."""
    model = nn.Linear(3, 2).double()
    before = model.weight.detach().clone()
    gradient = torch.tensor([[0.5, -2.0, 1.0], [-1.0, 3.0, -0.1]], dtype=torch.float64)
    model.weight.grad = gradient.clone()
    make_optimizer("adamw", model, 0.1, 0.2).step()
    by_hand = before * (1 - 0.1 * 0.2) - 0.1 * gradient.sign()
    torch.testing.assert_close(model.weight.detach(), by_hand, rtol=1e-6, atol=1e-7)

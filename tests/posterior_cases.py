"""Small problems whose posteriors are known."""

import torch
from torch import nn

from landscape.core.problem.problem import Problem
from landscape.reference.uncertainty import GaussianHead


def data(count: int = 40, inputs: int = 5, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, inputs, dtype=torch.float64, generator=generator)
    return x, torch.randint(classes, (count,), generator=generator)


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().double().eval()


def mlp(inputs: int = 5, hidden: int = 4, classes: int = 3) -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, classes)))


def convolution(classes: int = 3) -> nn.Module:
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, classes)
        )
    )


def classifier(weight_decay: float = 0.02) -> Problem:
    return Problem(mlp(), "cross_entropy", data(), weight_decay=weight_decay)


def image_classifier() -> Problem:
    x, y = data(count=12, inputs=16)
    return Problem(convolution(), "cross_entropy", (x.view(-1, 1, 4, 4), y))


def regression(loss: str = "half_squared_error", outputs: int = 1) -> Problem:
    """A linear network at the least squares of its data."""
    x, _ = data()
    true = torch.linspace(-1, 1, x.shape[1] * outputs, dtype=torch.float64).view(x.shape[1], outputs)
    noise = torch.randn(len(x), outputs, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y = x @ true + 0.5 * noise
    model = nn.Linear(x.shape[1], outputs, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.T)
    return Problem(model, loss, (x, y))


def heteroscedastic(weight_decay: float = 0.0) -> Problem:
    """A network with a mean and a variance for each example."""
    x, _ = data()
    generator = torch.Generator().manual_seed(2)
    y = x[:, 0] + 0.5 * torch.randn(len(x), generator=generator, dtype=torch.float64)
    return Problem(GaussianHead(mlp(classes=2)), "gaussian_nll", (x, y), weight_decay=weight_decay)

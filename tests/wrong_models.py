"""Models whose derivatives are wrong as autograd gives them; and sound ones easily taken for such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from tests.cases import generator

WIDTH, CLASSES = 8, 3


def data(n: int = 40) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 6, generator=generator(0)), torch.randint(0, CLASSES, (n,), generator=generator(1))


def around(middle: nn.Module) -> nn.Sequential:
    """A module between two layers: its name is '1'."""
    return nn.Sequential(nn.Linear(6, WIDTH), middle, nn.Linear(WIDTH, CLASSES))


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


# Wrong gradients


class Apart(nn.Module):
    """A residual branch that is detached."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x + self.branch(x).detach())


class Cut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x))


class OfData(nn.Linear):
    """Uses the weight's data, so that only the bias has a gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(F.linear(x, self.weight.data, self.bias))


class StraightThrough(nn.Module):
    """Quantised activations."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x + (torch.round(x * self.levels) / self.levels - x).detach())


class Sine(torch.autograd.Function):
    """sin x whose gradient is off by one per cent."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 1.01 * g * ctx.saved_tensors[0].cos()


WRONG_GRADIENTS: dict[str, Callable[[], nn.Module]] = {
    "detached branch": Apart,
    "no_grad block": Cut,
    "data of a weight": lambda: OfData(WIDTH, WIDTH),
    "rounding": lambda: Lambda(lambda x: torch.round(x * 4) / 4),
    "straight-through": lambda: StraightThrough(4),
    "straight-through, 8 bits": lambda: StraightThrough(127),
    "wrong factor": lambda: Lambda(Sine.apply),
}


# Right gradients and wrong second derivatives


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.saved_tensors[0].cos()


class Detached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.saved_tensors[0].detach().cos()


class Cosine(torch.autograd.Function):
    """g cos x, whose derivative by x is off by a tenth."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g: Tensor) -> Tensor:
        ctx.save_for_backward(x, g)
        return g * x.cos()

    @staticmethod
    def backward(ctx: Any, gg: Tensor) -> tuple[Tensor, Tensor]:
        x, g = ctx.saved_tensors
        return -0.9 * gg * g * x.sin(), gg * x.cos()


class OffTwice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return Cosine.apply(ctx.saved_tensors[0], g)


WRONG_CURVATURE: dict[str, Callable[[], nn.Module]] = {
    "once differentiable": lambda: Lambda(Once.apply),
    "detached backward": lambda: Lambda(Detached.apply),
    "wrong double backward": lambda: Lambda(OffTwice.apply),
}


# Sound


class Unused(nn.Module):
    """A head that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(6, CLASSES), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.head(x)
        return self.body(x)


class ZeroBranch(nn.Module):
    """A residual branch scaled by zero before a ReLU that stands at its kink, as in fresh ResNets."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(WIDTH, WIDTH), nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return F.relu(x + self.scale * self.linear(x))


class NormInFloat32(nn.Module):
    """Normalises in float32, as language models in half precision do."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return self.activation((wide * wide.square().mean(-1, keepdim=True).rsqrt()).to(x.dtype))


class OnlyFloat32(nn.Module):
    """Meets a float32 constant in a matrix product, which refuses float64."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x @ torch.eye(WIDTH, dtype=torch.float32))


class HardGate(nn.Module):
    """The expert of the largest score, times its probability."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(WIDTH, 2)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        p = self.score(x).softmax(-1)
        best = p.argmax(-1, keepdim=True)
        outputs = torch.stack([expert(x) for expert in self.experts], 1)
        return p.gather(1, best) * outputs.gather(1, best[..., None].expand(-1, 1, WIDTH))[:, 0]


class Saturated(nn.Module):
    """A temperature at its limit."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(7.0))

    def forward(self, x: Tensor) -> Tensor:
        return x.tanh() * self.temperature.clamp(max=4.0)


def off() -> nn.Sequential:
    """All hidden units are off."""
    model = around(nn.ReLU())
    model[0].bias.data.fill_(-100.0)
    return model


def zeros() -> nn.Sequential:
    """All parameters are zero, which is where ReLU has its kink."""
    model = around(nn.ReLU())
    for parameter in model.parameters():
        parameter.data.zero_()
    return model


def deep() -> nn.Sequential:
    """Many kinks."""
    layers = [layer for _ in range(20) for layer in (nn.Linear(32, 32), nn.ReLU())]
    return nn.Sequential(nn.Linear(6, 32), *layers, nn.Linear(32, CLASSES))


SOUND: dict[str, Callable[[], nn.Module]] = {
    "unused head": Unused,
    "units off": off,
    "zeros": zeros,
    "deep": deep,
    "branch of scale zero": lambda: around(ZeroBranch()),
    "float32 inside": lambda: around(NormInFloat32(F.silu)),
    "float32 inside, kinks": lambda: around(NormInFloat32(F.relu)),
    "float32 alone": lambda: around(OnlyFloat32(F.silu)),
    "float32 alone, kinks": lambda: around(OnlyFloat32(F.relu)),
    "hard gate": lambda: around(HardGate()),
    "saturated": lambda: around(Saturated()),
    "checkpointing": lambda: around(
        Lambda(lambda x: checkpoint(torch.tanh, x, use_reentrant=False))  # type: ignore[no-any-return]
    ),
    "piecewise linear": lambda: around(nn.Hardtanh()),
    "hard sigmoid": lambda: around(nn.Hardsigmoid()),
}

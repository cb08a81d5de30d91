"""Tiny models with data, each with its mean loss written in plain torch: the oracle of many tests.

``from cases import CASES`` works in every test module; see ``conftest.py``. Everything is float64, so
that comparisons may be strict, and has fewer than 250 parameters, so that exact Hessians are cheap.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape import Problem

CLASSES = 3

torch.set_num_threads(1)  # at these sizes threads only cost


# Models


class ConvNet(nn.Module):
    """Convolution, BatchNorm with lived-in statistics, in-place ReLU, stride."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU(inplace=True),
            nn.Conv2d(3, 4, 3, stride=2, padding=1),
            nn.Tanh(),
        )
        self.head = nn.Linear(4, CLASSES)
        norm = self.body[1]
        norm.running_mean.copy_(torch.randn(3) * 0.3)
        norm.running_var.copy_(torch.rand(3) + 0.5)
        with torch.no_grad():
            norm.weight.copy_(torch.rand(3) + 0.5)
            norm.bias.copy_(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class Tied(nn.Module):
    """One weight under two names: an encoder, and a decoder with its own bias."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 4)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(torch.tanh(self.encoder(x)))


class Patches(nn.Module):
    """A patch transformer with a class token over ``scaled_dot_product_attention``."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, 4, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, 4))
        self.norm = nn.LayerNorm(4)
        self.qkv = nn.Linear(4, 12)
        self.out = nn.Linear(4, 4)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1)
        b, t, d = tokens.shape
        q, k, v = self.qkv(self.norm(tokens)).view(b, t, 3, 2, d // 2).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d)
        return self.head((tokens + self.out(mixed))[:, 0])


class Sentence(nn.Module):
    """Token ids with a padding mask through ``nn.TransformerEncoder``; keywords in, mean over all tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        layer = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.1, batch_first=True, activation="gelu")
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, *, ids: Tensor, padding: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(ids), src_key_padding_mask=padding).mean(1))


class SelfAttention(nn.Module):
    """``nn.MultiheadAttention`` over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.squeeze(1)
        return self.head(self.attention(rows, rows, rows, need_weights=False)[0].mean(1))


class TwoInputs(nn.Module):
    """Two positional inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, CLASSES)
        self.right = nn.Linear(2, CLASSES)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.left(a) * torch.sigmoid(self.right(b))


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, CLASSES))


class Centred(nn.Module):
    """Takes the mean of its batch off, so that examples cannot be cut apart."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x - x.mean(0))  # type: ignore[no-any-return]


class Fixed(Centred):
    """Made for batches of 13."""

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.view(13, 4))  # type: ignore[no-any-return]


def frozen_mlp() -> nn.Sequential:
    model = mlp()
    model[0].requires_grad_(False)
    return model


def dropout_mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, CLASSES))


# Data


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vectors(n: int = 13) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 4, generator=generator(1), dtype=torch.float64), torch.arange(n) % CLASSES


def images(n: int = 13, size: int = 4) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 1, size, size, generator=generator(2), dtype=torch.float64)
    return x, torch.arange(n) % CLASSES


def sentences(n: int = 13) -> dict[str, Tensor]:
    padding = torch.arange(5) >= 2 + torch.arange(n)[:, None] % 4
    ids = torch.randint(7, (n, 5), generator=generator(3))
    return {"ids": ids, "padding": padding, "labels": torch.arange(n) % CLASSES}


def pairs(n: int = 13) -> tuple[Tensor, Tensor, Tensor]:
    a, y = vectors(n)
    return a, torch.randn(n, 2, generator=generator(4), dtype=torch.float64), y


def regression(n: int = 13, features: int = 4) -> tuple[Tensor, Tensor]:
    """Inputs (n, features) and targets (n, 1)."""
    g = generator(5)
    x = torch.randn(n, features, generator=g, dtype=torch.float64)
    return x, torch.randn(n, 1, generator=g, dtype=torch.float64)


# Losses in plain torch


def plain_cross_entropy(model: Callable[..., Tensor], data: Any) -> Tensor:
    if isinstance(data, Mapping):
        inputs = {k: v for k, v in data.items() if k != "labels"}
        return F.cross_entropy(model(**inputs), data["labels"])
    return F.cross_entropy(model(*data[:-1]), data[-1])


def plain_mse(model: Callable[..., Tensor], data: Any) -> Tensor:
    return F.mse_loss(model(data[0]), data[1])


def scalar_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target)


# Cases


@dataclass(frozen=True)
class Case:
    """A model with data and loss, and the mean loss in plain torch."""

    make: Callable[[], nn.Module]
    data: Callable[..., Any]
    loss: Any = "cross_entropy"
    plain: Callable[[Callable[..., Tensor], Any], Tensor] = plain_cross_entropy
    options: dict[str, Any] = field(default_factory=dict)

    def model(self) -> nn.Module:
        """The caller's model: the same weights each time, in training mode, float64."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return self.make().double().train()

    def problem(self, **options: Any) -> Problem:
        return Problem(self.model(), self.loss, self.data(), **(self.options | options))

    def risk(self) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """The mean loss as a plain torch function of the flat trainable parameters, and those."""
        model, data = copy.deepcopy(self.model()).eval(), self.data()
        named = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}

        def risk(theta: Tensor) -> Tensor:
            pieces = torch.split(theta, [p.numel() for p in named.values()])
            state = {n: t.view(p.shape) for (n, p), t in zip(named.items(), pieces, strict=True)}
            return self.plain(lambda *a, **k: functional_call(model, state, a, k), data)

        return risk, torch.cat([p.reshape(-1) for p in named.values()])

    def exact_hessian(self) -> Tensor:
        """The Hessian of `risk` by differentiating it twice, entry by entry."""
        risk, theta = self.risk()
        with sdpa_kernel(SDPBackend.MATH):
            return torch.autograd.functional.hessian(risk, theta)


CASES = {
    "mlp": Case(mlp, vectors),
    "conv_batchnorm": Case(ConvNet, images),
    "tied": Case(Tied, vectors),
    "frozen": Case(frozen_mlp, vectors),
    "dropout": Case(dropout_mlp, vectors),
    "attention": Case(Patches, images),
    "multihead": Case(SelfAttention, images),
    "transformer_dict": Case(Sentence, sentences),
    "two_inputs": Case(TwoInputs, pairs),
    "scalar_loss": Case(mlp, vectors, loss=scalar_cross_entropy),
    "regression": Case(
        lambda: nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 1)), regression, "mse", plain_mse
    ),
}


def uneven(data: Any, sizes: list[int]) -> Iterator[Any]:
    """The data cut into consecutive batches of the given sizes."""
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        start += size
        if isinstance(data, Mapping):
            yield {k: v[part] for k, v in data.items()}
        else:
            yield tuple(t[part] for t in data)


def snapshot(model: nn.Module) -> dict[str, Any]:
    """Everything of a model that must not change: bits, mode, gradients, hooks, identities, random state."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "bits": {k: v.detach().clone().numpy().tobytes() for k, v in model.state_dict().items()},
        "parameters": [(n, id(p), p.data_ptr(), p.requires_grad) for n, p in model.named_parameters()],
        "gradients": [None if p.grad is None else p.grad.numpy().tobytes() for p in model.parameters()],
        "buffers": [(n, id(b), b.data_ptr()) for n, b in model.named_buffers()],
        "modes": [m.training for m in model.modules()],
        "tracking": [getattr(m, "track_running_stats", None) for m in model.modules()],
        "hooks": [len(getattr(m, name)) for m in model.modules() for name in hooks],
        "random": torch.get_rng_state().numpy().tobytes(),
        "fast_path": torch.backends.mha.get_fastpath_enabled(),
        "grad_enabled": torch.is_grad_enabled(),
    }

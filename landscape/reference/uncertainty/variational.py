"""Mean-field variational layers: a Gaussian over each weight, trained beside the loss by its divergence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from landscape.core.behaviour.predictive import Draws, Kind, Predictive, joined, predictive_of
from landscape.core.seeds import seeded_generator
from landscape.errors import InputError, suggest
from landscape.imports import call

__all__ = [
    "Variational",
    "VariationalConv2d",
    "VariationalLinear",
    "kl",
    "variational",
    "variational_network",
]

Layers = Literal["*", "last"]

START = -5.0
"""ρ at the start: a standard deviation of ln(1 + e⁻⁵) = 0.0067, nearly deterministic."""


class _Variational(nn.Module):
    """A layer that is linear in its weights, each N(μ, σ²) with σ = ln(1 + e^ρ) and the prior N(0, s²)."""

    weight: nn.Parameter
    weight_rho: nn.Parameter
    bias: nn.Parameter | None
    bias_rho: nn.Parameter | None

    def _start(self, layer: nn.Linear | nn.Conv2d, prior: float) -> None:
        if not 0 < prior < math.inf:
            raise InputError(f"a variational layer needs a positive, finite prior, not {prior}.")
        self.prior = prior
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.weight_rho = nn.Parameter(torch.full_like(layer.weight, START))
        if layer.bias is None:
            self.bias = self.bias_rho = None
        else:
            self.bias = nn.Parameter(layer.bias.detach().clone())
            self.bias_rho = nn.Parameter(torch.full_like(layer.bias, START))
        self._drawn: tuple[Tensor, Tensor | None] | None = None

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of the layer whose place it takes.

        In training mode they are drawn entry by entry, with the mean and the variance that sums of
        independent weights have: gradients vary less than those of drawn weights. In eval mode they are
        those of the weights that `draw` has drawn, or of the means.
        """
        if self._drawn is not None:
            return self._linear(x, *self._drawn)
        mean = self._linear(x, self.weight, self.bias)
        if not self.training:
            return mean
        return mean + self.output_variance(x).sqrt() * torch.randn_like(mean)

    def output_variance(self, x: Tensor) -> Tensor:
        """Variance of the outputs over the weights; at least 1e-16, where its root has a slope."""
        bias = None if self.bias_rho is None else _sd(self.bias_rho).square()
        return self._linear(x.square(), _sd(self.weight_rho).square(), bias).clamp(min=1e-16)

    @contextmanager
    def draw(self, generator: Generator) -> Iterator[None]:
        """Within it, the layer has weights drawn once, the same for all examples.

        Args:
            generator: On the CPU, so that the device does not change the numbers.
        """
        drawn = [
            None
            if mean is None or rho is None
            else mean + _sd(rho) * torch.randn(mean.shape, generator=generator).to(mean)
            for mean, rho in ((self.weight, self.weight_rho), (self.bias, self.bias_rho))
        ]
        assert drawn[0] is not None
        self._drawn = drawn[0], drawn[1]
        try:
            yield
        finally:
            self._drawn = None

    def divergence(self) -> Tensor:
        """KL divergence of the prior from the weights' Gaussians, nats, which can be differentiated."""
        total = self.weight.new_zeros(())
        for mean, rho in ((self.weight, self.weight_rho), (self.bias, self.bias_rho)):
            if mean is not None and rho is not None:
                ratio = (_sd(rho) / self.prior).square()
                total = total + 0.5 * (ratio + (mean / self.prior).square() - 1.0 - ratio.log()).sum()
        return total


class VariationalLinear(_Variational):
    """A `torch.nn.Linear` whose weights are Gaussian.

    Args:
        layer: The layer whose place it takes; its weights are the means.
        prior: Standard deviation s of the prior N(0, s²) of each weight.

    Reference:
        Kingma et al. (2015), Variational dropout and the local reparameterization trick, section 2.3.
    """

    def __init__(self, layer: nn.Linear, prior: float = 1.0) -> None:
        super().__init__()
        self._start(layer, prior)

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.linear(x, weight, bias)


class VariationalConv2d(_Variational):
    """A `torch.nn.Conv2d`, padded with zeros, whose weights are Gaussian.

    Args:
        layer: The layer whose place it takes; its weights are the means.
        prior: Standard deviation s of the prior N(0, s²) of each weight.

    Raises:
        InputError: If the layer pads with anything else than zeros.
    """

    def __init__(self, layer: nn.Conv2d, prior: float = 1.0) -> None:
        super().__init__()
        if layer.padding_mode != "zeros":
            raise InputError(f"VariationalConv2d pads with zeros, not with '{layer.padding_mode}'.")
        self._start(layer, prior)
        self.settings: Any = layer.stride, layer.padding, layer.dilation, layer.groups

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.conv2d(x, weight, bias, *self.settings)


def _sd(rho: Tensor) -> Tensor:
    return functional.softplus(rho)


class Variational(Predictive):
    """A network with variational layers: each draw is the network at weights drawn once.

    In training mode its outputs are those of one pass, drawn entry by entry; the loss that it is trained on
    is ``CrossEntropy() + Divergence()`` of `landscape.reference.training`.

    Args:
        model: A network with variational layers.
        samples: Draws.
        seed: Seed of the draws.
        kind: What it predicts: ``classification`` or ``regression``.

    Raises:
        InputError: If there is no such layer, or no draw.

    Reference:
        Blundell et al. (2015), Weight uncertainty in neural networks; Kingma et al. (2015).
    """

    def __init__(
        self, model: nn.Module, samples: int = 30, seed: int = 0, kind: Kind = "classification"
    ) -> None:
        super().__init__()
        if not any(isinstance(part, _Variational) for part in model.modules()):
            raise InputError(
                f"{type(model).__name__} has no variational layers; make some with variational()."
            )
        self.model = model
        self.samples = samples
        self.seed = seed
        self.kind: Kind = kind

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The network at drawn weights.

        Args:
            x: Inputs (N, ...).
            samples: Draws; by default, the module's own number.
            seed: Added to the module's own seed.

        Raises:
            InputError: If there is no draw.
        """
        count = self.samples if samples is None else samples
        if count < 1:
            raise InputError(f"a variational network needs at least one draw, not {count}.")
        one = predictive_of(self.model, self.kind)
        made = []
        for index in range(count):
            generator = seeded_generator(self.seed + seed, index)
            with ExitStack() as stack:
                for part in self.model.modules():
                    if isinstance(part, _Variational):
                        stack.enter_context(part.draw(generator))
                made.append(one.draws(x))
        return joined(made)

    def forward(self, x: Tensor) -> Tensor:
        """In training mode one drawn pass, (N, C); else the mixture of the draws.

        Args:
            x: Inputs (N, ...).
        """
        if self.training:
            outputs: Tensor = self.model(x)
            return outputs
        return super().forward(x)


def kl(model: nn.Module) -> Tensor:
    """KL divergence of the priors from the weights' Gaussians of all variational layers, nats.

    Args:
        model: A network with such layers.
    """
    parts = [part.divergence() for part in model.modules() if isinstance(part, _Variational)]
    return torch.stack(parts).sum()


def variational(
    model: nn.Module,
    layers: Layers = "*",
    prior: float = 1.0,
    samples: int = 30,
    kind: Kind = "classification",
) -> Variational:
    """Give a network variational layers, in place, and make a predictive of it.

    Args:
        model: A network; its weights become the means.
        layers: ``"*"``, every `torch.nn.Linear` and `torch.nn.Conv2d`; ``"last"``, the last of these alone,
            the head.
        prior: Standard deviation of the prior of each weight.
        samples: Draws of the predictive.
        kind: What it predicts: ``classification`` or ``regression``.

    Raises:
        InputError: If there is no such layer, or a setting is none.

    Reference:
        Ovadia et al. (2019), Can you trust your model's uncertainty?, for last-layer variational inference.
    """
    if layers not in get_args(Layers):
        raise InputError(f"variational has no layers '{layers}'; {suggest(str(layers), get_args(Layers))}")
    # by name: children of the network itself, such as its head, come last only in this order
    found = [(name, part) for name, part in model.named_modules() if type(part) in (nn.Linear, nn.Conv2d)]
    for name, part in found if layers == "*" else found[-1:]:
        if name and isinstance(part, nn.Conv2d):
            model.set_submodule(name, VariationalConv2d(part, prior))
        elif name and isinstance(part, nn.Linear):
            model.set_submodule(name, VariationalLinear(part, prior))
    return Variational(model, samples, kind=kind)


def variational_network(
    builder: str = "landscape.reference.models:mlp",
    kwargs: Mapping[str, Any] | None = None,
    layers: Layers = "*",
    prior: float = 1.0,
    samples: int = 30,
) -> Variational:
    """Builder of a variational network for manifests and recipes: its checkpoint is one module.

    Args:
        builder: Builder of the network, ``package.module:function``.
        kwargs: Its arguments.
        layers: As `variational`.
        prior: As `variational`.
        samples: As `variational`.

    Raises:
        InputError: As `variational`, or if the builder cannot be used.
    """
    return variational(call(builder, dict(kwargs or {}), "model builder"), layers, prior, samples)

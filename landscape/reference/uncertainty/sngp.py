"""Spectral-normalised neural Gaussian processes: features that keep distances, and a head that sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Mixture, Predictive
from landscape.core.posterior.head import read_by
from landscape.core.seeds import seeded_generator
from landscape.errors import InputError
from landscape.imports import call
from landscape.reference.layers.spectral import spectral_bound

__all__ = ["SNGP", "RandomFeatureGP", "fit_sngp", "sngp", "sngp_network"]

UNSCALED = 20.0
"""Factor of the mean field with features that are not scaled, as published: their squared norm is count/2."""


class RandomFeatureGP(nn.Module):
    """A Gaussian process on features h, as a linear layer of random features φ = √(2/m)·cos(Wh + b).

    W (m, D) has orthogonal rows within blocks of D, with the lengths of Gaussian rows, over the length scale;
    b is uniform on 0 to 2π; both stay as drawn. φ(h)ᵀφ(h′) is then near the kernel
    exp(−‖h − h′‖²/(2 length²)). The outputs are βᵀφ, with β trained like any weights.

    Args:
        features: D.
        classes: Number of outputs.
        count: m.
        ridge: s, variance of the noise of the process: φ of all training examples gives the precision
            ΦᵀΦ + sI.
        length: Length scale of the kernel.
        scaled: Whether there is the factor √(2/m); without, as in published code, ‖φ‖² is near m/2.
        normalise: Whether h is first brought to mean 0 and variance 1 over its entries (LayerNorm without
            weights).

    Raises:
        InputError: If a number is not positive.

    Reference:
        Rahimi & Recht (2007), Random features for large-scale kernel machines; Yu et al. (2016), Orthogonal
        random features; Liu et al. (2020), Simple and principled uncertainty estimation, section 3.2.
    """

    directions: Tensor
    phases: Tensor

    def __init__(
        self,
        features: int,
        classes: int,
        count: int = 1024,
        ridge: float = 1.0,
        length: float = 1.0,
        *,
        scaled: bool = True,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        if min(features, classes, count) < 1 or not 0.0 < ridge < math.inf or not 0.0 < length < math.inf:
            raise InputError(
                f"RandomFeatureGP: sizes, ridge and length are positive, not {features}, {classes}, {count},"
                f" {ridge} and {length}."
            )
        self.ridge = ridge
        self.scaled = scaled
        self.norm = nn.LayerNorm(features, elementwise_affine=False) if normalise else nn.Identity()
        blocks = [torch.linalg.qr(torch.randn(features, features))[0] for _ in range(-(-count // features))]
        rows = torch.cat(blocks)[:count] * torch.randn(count, features).norm(dim=1, keepdim=True)
        self.register_buffer("directions", rows / length)
        self.register_buffer("phases", 2.0 * math.pi * torch.rand(count))
        # no bias: far from the data the outputs are to be uncertain alone, not shifted
        self.weight = nn.Parameter(torch.randn(classes, count) / math.sqrt(count if scaled else count**2))

    def features(self, h: Tensor) -> Tensor:
        """φ of what the head reads: (N, D) to (N, m)."""
        waves = torch.cos(nn.functional.linear(self.norm(h), self.directions, self.phases))
        return waves * math.sqrt(2.0 / len(self.phases)) if self.scaled else waves

    def forward(self, h: Tensor) -> Tensor:
        """Outputs (N, classes) of features (N, D): the mean of the process."""
        return nn.functional.linear(self.features(h), self.weight)


class SNGP(Predictive):
    """A network with a Gaussian process head, whose variance lowers the confidence far from the data.

    The variance of every logit is v = s·φᵀ(ΦᵀΦ + sI)⁻¹φ, shared by all classes, and also the score.

    Args:
        model: A classifier that ends in a `RandomFeatureGP`, see `sngp_network`.
        factor: (m, m), L⁻¹ of the precision ΦᵀΦ + sI = LLᵀ, see `fit_sngp`.
        scale: λ of the mean field: one draw with the logits over √(1 + λv). By default what goes with the
            features: π/8, and for two classes π/4, since the difference of two independent logits has twice
            their variance; 20 if the features are not scaled.
        samples: 0 for the mean field; else so many draws of β about its trained value.
        seed: Seed of the draws.

    Raises:
        InputError: If the model has no such head, or a number is out of range.

    Reference:
        Liu et al. (2020), algorithm 1 and equation 10; Liu et al. (2023), A simple approach to improve
        single-model deep uncertainty via distance-awareness, section 3; MacKay (1992) for π/8.
    """

    factor: Tensor

    def __init__(
        self,
        model: nn.Module,
        factor: Tensor,
        scale: float | None = None,
        samples: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        head = _head(model)
        count = len(head.phases)
        if factor.shape != (count, count) or samples < 0 or (scale is not None and not 0 <= scale < math.inf):
            raise InputError(
                f"SNGP: the factor is ({count}, {count}) and scale and samples are not negative; got"
                f" {tuple(factor.shape)}, {scale} and {samples}."
            )
        self.model = model
        self.scale = _scale(head) if scale is None else scale
        self.samples = samples
        self.seed = seed
        self.register_buffer("factor", factor)

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The mean field as one draw, or draws of the process; the score is the variance.

        Args:
            x: Inputs (N, ...).
            samples: Draws of the process, 0 for the mean field; by default, the module's own number.
            seed: Added to the module's own seed.

        Raises:
            InputError: If the number of draws is negative.
        """
        count = self.samples if samples is None else samples
        if count < 0:
            raise InputError(f"SNGP takes 0 draws, the mean field, or more, not {count}.")
        head = _head(self.model)
        phi, logits = _features(self.model, head, x)
        whitened = nn.functional.linear(phi.to(self.factor), self.factor) * math.sqrt(head.ridge)
        variance = whitened.square().sum(1)
        if not count:
            shrunk = logits / (1.0 + self.scale * variance[:, None]).sqrt().to(logits)
            return Draws("classification", log_p=shrunk.log_softmax(-1)[None], score=variance)
        made = []
        for index in range(count):
            # draws of β, not of single logits: examples share them, however they are cut into batches
            generator = seeded_generator(self.seed + seed, index)
            noise = torch.randn(len(self.factor), logits.shape[1], generator=generator).to(whitened)
            made.append((logits + (whitened @ noise).to(logits)).log_softmax(-1))
        return Draws("classification", log_p=torch.stack(made), score=variance)


@torch.no_grad()
def fit_sngp(model: nn.Module, data: tuple[Tensor, Tensor], *, batch: int = 500, **options: Any) -> SNGP:
    """The predictive of a trained network: the precision of its head in one exact pass, in float64.

    Args:
        model: A classifier that ends in a `RandomFeatureGP`; put into eval mode.
        data: The training inputs (N, ...) and classes (N,), which are not looked at.
        batch: Examples at a time.
        options: Of `SNGP`: ``scale``, ``samples`` and ``seed``.

    Raises:
        InputError: If the model has no such head, or features are not finite.
    """
    head = _head(model.eval())
    size = len(head.phases)
    precision = head.ridge * torch.eye(size, dtype=torch.float64, device=head.phases.device)
    for part in torch.split(data[0], batch):
        phi = _features(model, head, part.to(head.phases.device))[0].double()
        precision += phi.T @ phi
    if not bool(precision.isfinite().all()):
        raise InputError(f"SNGP: features of {type(model).__name__} are not finite on the data to fit.")
    eye = torch.eye(size, dtype=torch.float64, device=precision.device)
    factor = torch.linalg.solve_triangular(torch.linalg.cholesky(precision), eye, upper=False)
    return SNGP(model, factor, **options)


def sngp(members: Sequence[nn.Module], fit_data: tuple[Tensor, Tensor], **options: Any) -> Predictive:
    """The predictive of a manifest: of one trained network, or the mixture of several.

    Args:
        members: Networks of `sngp_network`, trained.
        fit_data: Their training data.
        options: Of `SNGP`: ``scale``, ``samples`` and ``seed``.

    Raises:
        InputError: As `fit_sngp`.
    """
    parts = [fit_sngp(member, fit_data, **options) for member in members]
    return parts[0] if len(parts) == 1 else Mixture(parts)


def sngp_network(
    builder: str = "landscape.reference.models:resnet",
    kwargs: Mapping[str, Any] | None = None,
    shape: Sequence[int] = (1, 28, 28),
    bound: float | None = 6.0,
    count: int = 1024,
    ridge: float = 1.0,
    length: float = 1.0,
    scaled: bool = True,
    normalise: bool = False,
) -> nn.Module:
    """Builder of a network whose head is a Gaussian process, for manifests and recipes.

    It is trained as any classifier, on its mean logits; `sngp` then makes the predictive.

    Args:
        builder: Builder of a network that ends in a `torch.nn.Linear`, ``package.module:function``.
        kwargs: Its arguments.
        shape: Shape of one input.
        bound: Largest spectral norm of every layer below the head; None for no bound.
        count: Random features, as `RandomFeatureGP`.
        ridge: As `RandomFeatureGP`.
        length: As `RandomFeatureGP`.
        scaled: As `RandomFeatureGP`.
        normalise: As `RandomFeatureGP`.

    Raises:
        InputError: If the builder cannot be used, its network does not end in a linear layer, or a number
            is out of range.

    Reference:
        Liu et al. (2020), algorithm 1.
    """
    model: nn.Module = call(builder, dict(kwargs or {}), "model builder")
    # by name: children of the network itself, such as its head, come last only in this order
    linear = [(name, part) for name, part in model.named_modules() if name and type(part) is nn.Linear]
    if not linear:
        raise InputError(f"sngp_network: {type(model).__name__} has no linear layer to put the head for.")
    name, last = linear[-1]
    if bound is not None:
        spectral_bound(model, shape, bound)
    head = RandomFeatureGP(
        last.in_features, last.out_features, count, ridge, length, scaled=scaled, normalise=normalise
    )
    model.set_submodule(name, head)
    return model


def _head(model: nn.Module) -> RandomFeatureGP:
    heads = [part for part in model.modules() if isinstance(part, RandomFeatureGP)]
    if len(heads) != 1:
        raise InputError(
            f"SNGP needs a network with one RandomFeatureGP, see sngp_network; {type(model).__name__} has"
            f" {len(heads)}."
        )
    return heads[0]


def _features(model: nn.Module, head: RandomFeatureGP, x: Tensor) -> tuple[Tensor, Tensor]:
    """φ of inputs, and the model's logits."""
    logits: Tensor
    read, logits = read_by(head, lambda: model(x))
    return head.features(read), logits


def _scale(head: RandomFeatureGP) -> float:
    if not head.scaled:
        return UNSCALED
    return math.pi / 4.0 if len(head.weight) == 2 else math.pi / 8.0

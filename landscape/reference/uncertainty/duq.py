"""Deterministic uncertainty quantification: the distance to the centroid of a class, as a kernel of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.errors import InputError
from landscape.imports import call

__all__ = ["DUQ", "duq_network"]


class DUQ(Predictive):
    """A network whose outputs are kernels of the distance of its features to a centroid of each class.

    K_c = exp(−mean_k (W_c h − e_c)²/(2σ²)), with W_c (embedding, D) of each class and its centroid e_c, the
    moving mean of W_c h over examples of the class. The score is 1 − max_c K_c. The published method gives
    no probabilities; the draw has K_c/Σ K here, so that scores of probabilities can be asked for.

    In training mode `forward` gives the kernels (N, C) that
    `landscape.reference.training.methods.KernelLoss` is of.

    Args:
        body: A module from inputs (N, ...) to features (N, D).
        features: D.
        classes: C.
        embedding: Numbers of an embedding.
        length: σ.
        momentum: γ of the moving means.

    Raises:
        InputError: If a number is out of range.

    Reference:
        van Amersfoort et al. (2020), Uncertainty estimation using a single deep deterministic neural network,
        equations 1, 3 and 4.
    """

    counts: Tensor
    sums: Tensor
    feature_layer = "body"

    def __init__(
        self,
        body: nn.Module,
        features: int,
        classes: int = 10,
        embedding: int = 256,
        length: float = 0.1,
        momentum: float = 0.999,
    ) -> None:
        super().__init__()
        if min(features, classes, embedding) < 1 or not 0 < length < math.inf or not 0 <= momentum < 1:
            raise InputError(
                f"DUQ: sizes and length are positive and momentum is below 1, not {features}, {classes},"
                f" {embedding}, {length} and {momentum}."
            )
        self.body = body
        self.length = length
        self.momentum = momentum
        # as a linear layer with ReLU before it starts
        start = torch.randn(embedding, classes, features) * math.sqrt(2.0 / features)
        self.weight = nn.Parameter(start)
        # centroids start at random, on as many examples as a class has in a mini-batch of 128
        self.register_buffer("counts", torch.full((classes,), 13.0))
        self.register_buffer("sums", torch.randn(embedding, classes) * 0.05 * 13.0)

    def embeddings(self, x: Tensor) -> Tensor:
        """W_c h of inputs (N, ...): (N, embedding, C)."""
        return torch.einsum("nd,kcd->nkc", self.body(x), self.weight)

    def log_kernels(self, embeddings: Tensor) -> Tensor:
        """Ln K_c of embeddings (N, embedding, C): (N, C)."""
        away = embeddings - self.sums / self.counts
        return -away.square().mean(1) / (2.0 * self.length**2)

    @torch.no_grad()
    def move_centroids(self, embeddings: Tensor, classes: Tensor) -> None:
        """Let the centroids follow the embeddings (N, embedding, C) of examples of these classes (N,)."""
        chosen = nn.functional.one_hot(classes, len(self.counts)).to(embeddings)
        counts = self.counts.lerp(chosen.sum(0), 1.0 - self.momentum)
        sums = self.sums.lerp(torch.einsum("nkc,nc->kc", embeddings, chosen), 1.0 - self.momentum)
        # a class that is never seen keeps its centroid; its count would shrink until both were 0, and 0/0
        seen = counts > 1e-20
        self.counts.copy_(torch.where(seen, counts, self.counts))
        self.sums.copy_(torch.where(seen, sums, self.sums))

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The one draw there is, with the score.

        Args:
            x: Inputs (N, ...).
            samples: Decides nothing.
            seed: Likewise.
        """
        log_k = self.log_kernels(self.embeddings(x))
        # in float64, in which scores far from every centroid differ for longer before all are 1
        score = -torch.expm1(log_k.double().amax(1))
        return Draws("classification", log_p=log_k.log_softmax(-1)[None], score=score)

    def forward(self, x: Tensor) -> Tensor:
        """In training mode the kernels (N, C); else the logarithm of the draw's probabilities.

        Args:
            x: Inputs (N, ...).
        """
        if self.training:
            return self.log_kernels(self.embeddings(x)).exp()
        return super().forward(x)


def duq_network(
    builder: str = "landscape.reference.models:resnet",
    kwargs: Mapping[str, Any] | None = None,
    embedding: int = 256,
    length: float = 0.1,
    momentum: float = 0.999,
) -> DUQ:
    """Builder of DUQ for manifests and recipes: a network whose last linear layer gives way to the kernels.

    It is trained on `landscape.reference.training.methods.KernelLoss`; its checkpoint is the predictive.

    Args:
        builder: Builder of a network that ends in a `torch.nn.Linear`, ``package.module:function``.
        kwargs: Its arguments.
        embedding: As `DUQ`.
        length: As `DUQ`.
        momentum: As `DUQ`.

    Raises:
        InputError: If the builder cannot be used, or its network does not end in a linear layer.
    """
    body = call(builder, dict(kwargs or {}), "model builder")
    linear = [(name, part) for name, part in body.named_modules() if name and isinstance(part, nn.Linear)]
    if not linear:
        raise InputError(f"duq_network: {type(body).__name__} has no linear layer to put the kernels for.")
    name, last = linear[-1]
    body.set_submodule(name, nn.Identity())
    return DUQ(body, last.in_features, last.out_features, embedding, length, momentum)

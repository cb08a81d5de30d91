"""Gaussian posteriors of a network's parameters about a checkpoint, and what they say of linear functions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from landscape.core.seeds import seeded_generator
from landscape.errors import InputError

__all__ = ["DensePosterior", "DiagonalPosterior", "GaussianPosterior", "LowRankPosterior"]


class GaussianPosterior(nn.Module, ABC):
    """N(θ*, Σ) over some entries S of θ; the others stay where they are.

    Its numbers are buffers, so that it moves, is stored and is known by its content as other modules are.

    Attributes:
        entries: The number S of entries.
    """

    entries: int

    @abstractmethod
    def root(self, jacobian: Tensor) -> Tensor:
        """R (..., C, r) with RRᵀ = JΣJᵀ, for J (..., C, S)."""

    @abstractmethod
    def _scaled(self, noise: Tensor) -> Tensor:
        """Draws of N(0, Σ) made of standard normal ones, (samples, S)."""

    def covariance(self, jacobian: Tensor) -> Tensor:
        """JΣJᵀ (..., C, C) in float64, the covariance of linearised outputs, for J (..., C, S)."""
        root = self.root(jacobian)
        return root @ root.mT

    def variance(self, jacobian: Tensor) -> Tensor:
        """The diagonal of `covariance`, (..., C)."""
        return self.root(jacobian).square().sum(-1)

    def deviations(self, samples: int, *, seed: int = 0) -> Tensor:
        """Draws of θ_S − θ*_S, (samples, S), float64; draw i depends on the seed and on i alone.

        Args:
            samples: How many.
            seed: Which.

        Raises:
            InputError: If there are none to draw.
        """
        if samples < 1:
            raise InputError(f"a posterior is drawn from one or more times, not {samples}.")
        rows = []
        for number in range(samples):
            generator = seeded_generator(seed, number)
            rows.append(torch.randn(self.entries, generator=generator, dtype=torch.float64))
        return self._scaled(torch.stack(rows).to(next(self.buffers()).device))


class DensePosterior(GaussianPosterior):
    """With the full covariance of all its entries.

    Args:
        precision: Σ⁻¹ (S, S), positive definite.

    Raises:
        InputError: If it is not.
    """

    factor: Tensor

    def __init__(self, precision: Tensor) -> None:
        super().__init__()
        self.entries = len(precision)
        matrix = precision.double()
        factor, failed = torch.linalg.cholesky_ex((matrix + matrix.mT) / 2)
        if int(failed):
            raise InputError(
                "the posterior precision is not positive definite; take a larger prior_precision."
            )
        self.register_buffer("factor", factor)

    def root(self, jacobian: Tensor) -> Tensor:
        """(L⁻¹Jᵀ)ᵀ for Σ⁻¹ = LLᵀ."""
        J = jacobian.double()
        flat = J.reshape(-1, J.shape[-1]).mT
        found: Tensor = torch.linalg.solve_triangular(self.factor.double(), flat, upper=False)
        return found.mT.reshape(J.shape)

    def _scaled(self, noise: Tensor) -> Tensor:
        found: Tensor = torch.linalg.solve_triangular(self.factor.double().mT, noise.mT, upper=True)
        return found.mT


class DiagonalPosterior(GaussianPosterior):
    """With independent entries.

    Args:
        precision: Of each entry (S,), positive.

    Raises:
        InputError: If one is not.
    """

    deviation: Tensor

    def __init__(self, precision: Tensor) -> None:
        super().__init__()
        self.entries = len(precision)
        if not bool((precision > 0).all()):
            raise InputError("a posterior precision is not positive; take a larger prior_precision.")
        self.register_buffer("deviation", precision.double().rsqrt())

    def root(self, jacobian: Tensor) -> Tensor:
        """J with columns scaled by standard deviations."""
        return jacobian.double() * self.deviation.double()

    def _scaled(self, noise: Tensor) -> Tensor:
        return noise * self.deviation.double()


class LowRankPosterior(GaussianPosterior):
    """With the prior's precision δ everywhere but in the span of some eigenvectors, where λ is added.

    Σ = (1/δ)(I − U diag(λ/(λ + δ)) Uᵀ): a posterior of the leading part of a curvature.

    Args:
        vectors: Orthonormal eigenvectors U of the summed curvature, (S, k).
        values: Their eigenvalues λ (k,); rounding below zero counts as zero.
        prior_precision: δ > 0.

    Raises:
        InputError: If δ is not positive.
    """

    vectors: Tensor
    shrink: Tensor
    prior_precision: Tensor

    def __init__(self, vectors: Tensor, values: Tensor, prior_precision: float) -> None:
        super().__init__()
        if not 0.0 < prior_precision < math.inf:
            raise InputError(f"prior_precision must be positive and finite; got {prior_precision}.")
        self.entries = len(vectors)
        kept = values.double().clamp(min=0.0)
        # In the span the standard deviation is 1/√(λ + δ) in place of 1/√δ.
        self.register_buffer("shrink", 1.0 - (prior_precision / (kept + prior_precision)).sqrt())
        self.register_buffer("vectors", vectors)
        self.register_buffer("prior_precision", torch.tensor(prior_precision, dtype=torch.float64))

    def root(self, jacobian: Tensor) -> Tensor:
        """JΣ^½, Σ^½ symmetric."""
        return self._scaled(jacobian.double())

    def _scaled(self, noise: Tensor) -> Tensor:
        U = self.vectors.double()
        inside = ((noise @ U) * self.shrink.double()) @ U.mT
        return (noise - inside) / self.prior_precision.double().sqrt()

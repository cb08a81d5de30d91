"""Likelihoods: the distribution of targets whose negative logarithm a loss is, up to scale and constant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from landscape.core.problem.losses import gaussian_fisher
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["Likelihood", "Noise", "likelihood_of"]

Noise = float | Literal["ml"]
"""A variance, or the one of most likelihood: the mean square of the residuals."""


@dataclass(frozen=True)
class Likelihood:
    """ln p(y | f) = −scale · ℓ(f, y) + constant, summed over examples, for the loss ℓ of a problem.

    Attributes:
        kind: Of classes (``"categorical"``), of real targets with equal noise (``"gaussian"``), or with the
            noise that the outputs themselves say (``"heteroscedastic"``).
        scale: What the mean loss is multiplied by, the number of examples included.
        constant: What is added, for all examples together, in nats.
        noise: Variance of the noise; 1 for classes, and where the outputs say it.
    """

    kind: Literal["categorical", "gaussian", "heteroscedastic"]
    scale: float
    constant: float = 0.0
    noise: float = 1.0

    def log_likelihood(self, data_loss: float) -> float:
        """Ln p(D | θ) of all examples, in nats, from their mean loss without weight decay."""
        return self.constant - self.scale * data_loss

    def precision(self, weight_decay: float) -> float:
        """The precision δ of the Gaussian prior that weight decay stands for: L + (λ/2)‖θ‖² times scale."""
        return self.scale * weight_decay

    def roots(self, outputs: Tensor) -> Tensor:
        """R with RRᵀ = Λ, the Fisher matrix of the targets in the outputs, of each example.

        That is the Hessian of −ln p in them, but for variances among the outputs: there −ln p is not convex,
        and its Hessian, which depends on the target, would make no covariance.

        Args:
            outputs: (N, C); of means and variances (N, 2D), see
                `landscape.core.problem.losses.gaussian_moments`.

        Returns:
            (N, C, C). For classes diag(√p) − p√pᵀ, whose square is diag(p) − ppᵀ; symmetric it is not.
        """
        if self.kind == "heteroscedastic":
            return torch.diag_embed(gaussian_fisher(outputs)(torch.ones_like(outputs)).sqrt())
        if self.kind == "gaussian":
            eye = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
            return (eye / math.sqrt(self.noise)).expand(len(outputs), -1, -1)
        p = outputs.softmax(-1)
        root = p.sqrt()
        return torch.diag_embed(root) - p[:, :, None] * root[:, None, :]


def likelihood_of(problem: Problem, noise: Noise = "ml") -> Likelihood:
    """The likelihood that the loss of a problem stands for.

    Args:
        problem: With the loss ``"cross_entropy"``, ``"mse"``, ``"half_squared_error"`` or
            ``"gaussian_nll"``, and outputs (B, C).
        noise: Variance of Gaussian noise, for the squared errors; ``"ml"``: the mean squared residual.

    Raises:
        InputError: If the loss has no likelihood known here, the outputs have more axes, or the noise is
            not positive.
    """
    name = problem.loss_name
    if name not in ("cross_entropy", "mse", "half_squared_error", "gaussian_nll"):
        raise InputError(
            f"the loss {name} has no known likelihood; use 'cross_entropy', 'mse', 'half_squared_error' or"
            " 'gaussian_nll'."
        )
    with torch.no_grad():
        output, _ = problem.output(problem.first)
    if not isinstance(output, Tensor) or output.ndim != 2:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(f"a posterior needs a model with outputs (examples, outputs); got {got}.")
    count, examples = output.shape[1], problem.examples
    if name == "cross_entropy":
        return Likelihood("categorical", float(examples))
    if name == "gaussian_nll":  # −ln p itself, constants included
        return Likelihood("heteroscedastic", float(examples))
    # both are ½ Σ r² of an example but for a factor: of mse the mean over its outputs
    to_half = count / 2.0 if name == "mse" else 1.0
    variance = 2.0 * to_half * problem.measure().data_loss / count if noise == "ml" else float(noise)
    if not 0.0 < variance < math.inf:
        raise InputError(
            f"the variance of the noise must be positive and finite; got {variance}: give it as a number."
        )
    constant = -0.5 * examples * count * math.log(2.0 * math.pi * variance)
    return Likelihood("gaussian", examples * to_half / variance, constant, variance)

"""Average-case sharpness: how far the loss rises under random noise on the parameters, on average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.problem.problem import Problem
from landscape.core.stats.intervals import standard_error
from landscape.errors import InputError

__all__ = ["AverageSharpness", "average_sharpness", "least_error"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class AverageSharpness:
    """Mean rises of the loss under noise of several sizes.

    Attributes:
        sigmas: σ (s,).
        rise: Mean rise E L(θ + σTε) − L(θ) (s,).
        rise_se: Its standard error over pairs of draws (s,); NaN of one pair.
        samples: Pairs ±ε of draws, the same for each σ.
    """

    sigmas: Array
    rise: Array
    rise_se: Array
    samples: int


@under_own_context
def average_sharpness(
    problem: Problem,
    scale: Tensor,
    sigmas: Sequence[float],
    *,
    samples: int = 16,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> AverageSharpness:
    """Estimate E L(θ + σTε) − L(θ) over standard normal ε (Andriushchenko et al. 2023, average case).

    Draws come in pairs ±ε, whose mean has no odd terms: the gradient, which would be the largest part of the
    noise, drops out. To second order in σ the mean is ½σ² tr(THT), and of a quadratic loss exactly that.

    Costs 1 + 2 · samples · s losses.

    Args:
        problem: The problem.
        scale: The diagonal of T, (P,), see `landscape.core.curvature.adaptive_sharpness.parameter_scales`.
        sigmas: Each σ > 0, in the unit of θ/T.
        samples: Pairs of draws.
        seed: Seed of the draws.
        on_progress: Called with the finished fraction.

    Raises:
        InputError: If a σ or the number of samples is out of range.
    """
    if not all(s > 0 for s in sigmas) or samples < 1:
        raise InputError(
            f"average sharpness needs every sigma > 0 and samples >= 1; got {list(sigmas)}, {samples}."
        )
    draw = torch.Generator().manual_seed(seed)
    center = problem.loss()
    rises = np.zeros((samples, len(sigmas)))
    for row in range(samples):
        # In float64 on the CPU, so that a seed means the same noise for any problem.
        noise = torch.randn(problem.size, generator=draw, dtype=torch.float64)
        step = scale * noise.to(problem.device, problem.dtype)
        for column, sigma in enumerate(sigmas):
            both = (problem.measure(problem.theta + sign * sigma * step).loss for sign in (1.0, -1.0))
            rises[row, column] = sum(both) / 2 - center
        on_progress((row + 1) / samples)
    given = np.asarray(sigmas, dtype=np.float64)
    return AverageSharpness(given, rises.mean(0), standard_error(rises, 0), samples)


def least_error(sigmas: Array, rise: Array, samples: int, trace: float, norm: float) -> Array:
    """The standard error of mean rises (s,) that the curvature foresees, below which none is believed.

    To second order a rise is ½σ² εᵀTHTε, whose variance over ε is ½σ⁴ ‖THT‖_F². Where few large eigenvalues
    make it, most draws miss them and with them how much rises vary, so that their own spread is too small.
    Where the rise is less than half of its second order, the loss is no quadratic there, and the error is
    taken in proportion to the rise.

    Args:
        sigmas: Each σ (s,).
        rise: The mean rises (s,).
        samples: Pairs of draws.
        trace: tr(THT).
        norm: ‖THT‖_F.
    """
    second = 0.5 * sigmas**2 * trace
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(second > 0, 2.0 * np.abs(rise) / second, 1.0)
    error: Array = sigmas**2 * norm / (2.0 * samples) ** 0.5 * np.minimum(share, 1.0)
    return error

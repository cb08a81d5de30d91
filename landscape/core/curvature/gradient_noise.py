"""How the gradients of examples scatter about their mean: noise scale and signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.example_gradients import ExampleGradients
from landscape.core.stats.intervals import reach

__all__ = ["GradientMoments", "NoiseScale", "SignalToNoise", "gradient_moments", "noise_scale"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GradientMoments:
    """First and second moments of the gradients gᵢ of N examples.

    G = ḡ + λθ is the gradient of the whole loss: weight decay moves the mean, and not the spread.

    Attributes:
        gradient: G (P,), float64.
        variance: Diagonal of the covariance Σ of the gᵢ, unbiased (P,), float64.
        norms: ‖gᵢ‖ (N,).
        deviations: ‖gᵢ − ḡ‖² (N,).
        slopes: (gᵢ − ḡ)·G (N,).
        layer_deviations: ‖gᵢ − ḡ‖² by layer (N, layers).
    """

    gradient: Tensor
    variance: Tensor
    norms: Array
    deviations: Array
    slopes: Array
    layer_deviations: Array

    @property
    def examples(self) -> int:
        """N."""
        return len(self.norms)


@dataclass(frozen=True)
class NoiseScale:
    """The simple noise scale B = tr Σ/‖G‖², and what it is made of.

    Attributes:
        trace: tr Σ.
        trace_se: Its standard error over examples.
        square: ‖G‖² less tr Σ/N, which has the mean ‖E G‖²; may be negative.
        square_se: Its standard error.
        value: B; NaN if ``square`` is not positive: then N examples do not tell the gradient from noise.
        low: Lower end of the 95 % interval of B, which then still holds.
        high: Upper end; infinite if the interval of ‖G‖² reaches down to 0.
    """

    trace: float
    trace_se: float
    square: float
    square_se: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SignalToNoise:
    """The gradient's signal-to-noise ratio r_j = G_j²/Σ_jj, less its bias 1/N, meaned over parameters.

    Attributes:
        mean: Over all parameters whose gradient varies.
        mean_se: Its standard error over examples.
        layers: Over those of each layer (layers,); NaN where none varies.
        layers_se: Their standard errors.
        still: Parameters of each layer whose gradient is the same for all examples (layers,).
    """

    mean: float
    mean_se: float
    layers: Array
    layers_se: Array
    still: Array


@under_own_context
def gradient_moments(
    gradients: ExampleGradients,
    sizes: Sequence[int],
    *,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> tuple[GradientMoments, SignalToNoise]:
    """Pass twice over the gradients of the examples, of which no more than a piece need be held.

    Args:
        gradients: The gradients.
        sizes: Entries of consecutive layers, summing to P.
        on_progress: Called with the finished fraction.
    """
    problem = gradients.problem
    count = problem.examples
    gradient = problem.gradient().double()
    mean = gradient - problem.weight_decay * problem.theta.double()
    spread = torch.zeros_like(mean)
    norms, slopes, layers = [], [], []
    for rows in gradients:
        norms.append(rows.double().norm(dim=1))
        # Sums of squares about the mean: differences of large sums would lose what varies little.
        wide = rows.double() - mean
        slopes.append(wide @ gradient)
        square = wide.square_()
        spread += square.sum(0)
        layers.append(torch.stack([part.sum(1) for part in torch.split(square, list(sizes), 1)], 1))
    on_progress(0.5)
    by_layer = torch.cat(layers).cpu().numpy()
    moments = GradientMoments(
        gradient.cpu(),
        (spread / (count - 1)).cpu(),
        torch.cat(norms).cpu().numpy(),
        by_layer.sum(1),
        torch.cat(slopes).cpu().numpy(),
        by_layer,
    )
    ratios = _signal_to_noise(gradients, mean, gradient, spread / (count - 1), sizes)
    on_progress(1.0)
    return moments, ratios


def _signal_to_noise(
    gradients: ExampleGradients, mean: Tensor, gradient: Tensor, variance: Tensor, sizes: Sequence[int]
) -> SignalToNoise:
    """Ratios, and their errors from the influence of each example, to first order (Efron's jackknife)."""
    count = gradients.problem.examples
    varies = variance > 0
    spread = torch.where(varies, variance, torch.ones_like(variance))
    ratio = torch.where(varies, gradient.square() / spread - 1.0 / count, 0.0)
    along = torch.where(varies, 2.0 * gradient / spread, 0.0)
    across = torch.where(varies, (gradient / spread).square(), 0.0)
    edges = [*pairwise(accumulate(sizes, initial=0))]
    influence = []
    for rows in gradients:
        wide = rows.double() - mean
        parts = [wide[:, a:b] @ along[a:b] - wide[:, a:b].square() @ across[a:b] for a, b in edges]
        influence.append(torch.stack(parts, 1))
    moved = torch.cat(influence)
    # the rest of what one example changes is the same for all
    each: Array = (moved - moved.mean(0)).cpu().numpy()
    used = np.array([int(varies[a:b].sum()) for a, b in edges])
    sums = np.array([float(ratio[a:b].sum()) for a, b in edges])
    errors = np.sqrt(np.square(each).sum(0) / (count * (count - 1)))
    whole = float(np.sqrt(np.square(each.sum(1)).sum() / (count * (count - 1))))
    with np.errstate(invalid="ignore", divide="ignore"):
        every = np.float64(used.sum())
        return SignalToNoise(
            float(sums.sum() / every),
            float(whole / every),
            sums / used,
            errors / used,
            np.asarray(sizes) - used,
        )


def noise_scale(moments: GradientMoments) -> NoiseScale:
    """The simple noise scale of gradients, with a 95 % interval over examples.

    About so many examples make a batch whose gradient is as large as its noise: much smaller batches lose
    little by noise averaged, much larger ones gain little (McCandlish, Kaplan, Amodei et al. 2018, section
    2.2 and appendix A.1, where ‖G‖² is debiased as here). The interval is that of 1/B, turned round: B itself
    has no mean where G may be 0. Errors are the jackknife's, in closed form.

    Args:
        moments: Of three examples or more.

    Example:
        Gradients 0, 1, 2 of one parameter: Σ = 1, ‖G‖² = 1 − 1/3.

        >>> g = np.array([0.0, 1.0, 2.0])
        >>> moments = GradientMoments(torch.ones(1), torch.ones(1), g, (g - 1) ** 2, g - 1, np.ones((3, 1)))
        >>> round(noise_scale(moments).value, 9)
        1.5
    """
    n = moments.examples
    length = float(moments.gradient.square().sum())
    trace = float(moments.variance.sum())
    square = length - trace / n
    # Without example i the mean is ḡ − dᵢ/(n − 1), and Σ d² falls by dᵢ² n/(n − 1).
    d, e = moments.deviations, moments.slopes
    traces = ((n - 1) * trace - d * n / (n - 1)) / (n - 2)
    lengths = length - 2.0 * e / (n - 1) + d / (n - 1) ** 2
    squares = lengths - traces / (n - 1)
    if trace <= 0.0:  # all gradients are alike
        value = 0.0 if square > 0 else float("nan")
        return NoiseScale(trace, 0.0, square, 0.0, value, value, value)
    ratio = square / trace
    half = reach(n) * _jackknife(squares / traces)
    low = 1.0 / (ratio + half) if ratio + half > 0 else float("inf")
    high = 1.0 / (ratio - half) if ratio - half > 0 else float("inf")
    value = 1.0 / ratio if ratio > 0 else float("nan")
    return NoiseScale(trace, _jackknife(traces), square, _jackknife(squares), value, low, high)


def _jackknife(without: Array) -> float:
    """Standard error of a statistic from its values without one example each (n,)."""
    n = len(without)
    return float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))

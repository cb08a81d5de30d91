"""How far apart spectra are: Jensen-Shannon distances between distributions of eigenvalues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.core.stats.density import WEIGHTLESS
from landscape.core.stats.intervals import reach
from landscape.errors import InputError

__all__ = ["RELATIVE", "Distances", "Spectrum", "bin_edges", "bin_masses", "spectral_distances"]

Array = NDArray[np.float64]

RELATIVE = 0.2
"""Standard deviation of the kernel, relative to |λ|."""

FINEST = 1e-4
"""The least standard deviation, relative to the largest |λ| of two spectra."""


@dataclass(frozen=True)
class Spectrum:
    """A distribution of eigenvalues as weighted points, known from several independent probes.

    Attributes:
        nodes: Points (probes, nodes); NaN where a row has fewer.
        weights: Their weights, of which each row sums to 1.
        resolution: Distance below which nothing is resolved; 0 where all eigenvalues are known.
    """

    nodes: Array
    weights: Array
    resolution: float

    @property
    def largest(self) -> float:
        """The largest |λ|."""
        held = self.weights > WEIGHTLESS
        return float(np.abs(self.nodes[held]).max(initial=0.0))


@dataclass(frozen=True)
class Distances:
    """Jensen-Shannon distances between b spectra, from 0 to 1, less their bias.

    Attributes:
        values: Distances (b, b).
        low: Lower ends of their 95 % intervals over probes (b, b).
        high: Upper ends.
        mean: Mean over all pairs; NaN of a single spectrum.
        mean_low: Lower end of its interval.
        mean_high: Upper end.
    """

    values: Array
    low: Array
    high: Array
    mean: float
    mean_low: float
    mean_high: float


def bin_edges(largest: float, finest: float) -> Array:
    """Edges of bins half a kernel wide, from below −largest to above it: even about 0, geometric beyond.

    Args:
        largest: The largest |λ|.
        finest: The kernel's least standard deviation.
    """
    turn = finest / RELATIVE  # where the kernel begins to widen
    far = max(largest * (1 + 5 * RELATIVE), turn) + 5 * finest
    even = np.linspace(0.0, turn, int(np.ceil(2.0 / RELATIVE)) + 1)
    count = int(np.ceil(np.log(far / turn) / (RELATIVE / 2))) + 1
    half = np.concatenate([even[:-1], np.geomspace(turn, far, max(count, 2))])
    return np.concatenate([-half[:0:-1], half])


def bin_masses(spectrum: Spectrum, edges: Array, finest: float) -> Array:
    """The mass of each bin under a Gaussian kernel of σ = max(0.2 |λ|, finest), (probes, bins)."""
    from scipy.special import ndtr

    rows = []
    for nodes, weights in zip(spectrum.nodes, spectrum.weights, strict=True):
        held = weights > WEIGHTLESS
        x, w = nodes[held], weights[held]
        width = np.maximum(RELATIVE * np.abs(x), finest)
        below = ndtr((edges[:, None] - x) / width) @ w
        mass = np.diff(below)
        rows.append(mass / mass.sum())
    return np.stack(rows)


def spectral_distances(spectra: Sequence[Spectrum]) -> Distances:
    """Distances √JSD between all pairs of spectra, JSD the Jensen-Shannon divergence in bits.

    JSD(p, q) = H((p + q)/2) − (H(p) + H(q))/2 lies between 0 and 1, and its root is a metric (Endres &
    Schindelin 2003). Spectra are points, whose distance says nothing until they are smoothed: each pair is
    smoothed by one Gaussian kernel, of a standard deviation of a fifth of |λ|, but no less than either is
    resolved, so that equal spectra known to different accuracy are at distance 0. Bias and error come from
    leaving out each probe of all spectra in turn (jackknife). No unit enters.

    Args:
        spectra: With one number of probes, two at least.

    Raises:
        InputError: If they differ in the number of probes, or have only one.

    Example:
        >>> def points(*values):
        ...     x = np.tile(np.array(values, float), (2, 1))
        ...     return Spectrum(x, np.full(x.shape, 1.0 / x.shape[1]), 0.0)
        >>> found = spectral_distances([points(1.0, 2.0), points(2.0, 1.0), points(-5.0, 80.0)])
        >>> found.values.round(3).tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    probes = {len(s.nodes) for s in spectra}
    if len(probes) != 1 or min(probes) < 2:
        raise InputError(f"distances between spectra need one number of probes, two or more; got {probes}.")
    n, b = probes.pop(), len(spectra)
    divergence = np.zeros((n + 1, b, b))  # of all probes, then without each in turn
    for i in range(b):
        for j in range(i):
            divergence[:, i, j] = divergence[:, j, i] = _divergences(spectra[i], spectra[j])
    middle, half = _jackknifed(divergence)
    pairs = np.tril_indices(b, -1)
    if not len(pairs[0]):
        nothing = np.zeros((b, b))
        return Distances(nothing, nothing, nothing, np.nan, np.nan, np.nan)
    means = np.sqrt(divergence[:, pairs[0], pairs[1]].clip(0.0)).mean(1)
    mean, mean_half = (float(v) for v in _jackknifed(means))
    low, high = middle - half, middle + half
    values, low, high = (np.sqrt(v.clip(0.0, 1.0)) for v in (middle, low, high))
    ends = np.clip([mean, mean - mean_half, mean + mean_half], 0.0, 1.0)
    return Distances(values, low, high, float(ends[0]), float(ends[1]), float(ends[2]))


def _divergences(one: Spectrum, other: Spectrum) -> Array:
    """JSD of two spectra: of all probes, then without each in turn (probes + 1,)."""
    largest = max(one.largest, other.largest)
    finest = max(one.resolution, other.resolution, FINEST * largest) or 1.0
    edges = bin_edges(largest, finest)
    p, q = (_left_out(bin_masses(s, edges, finest)) for s in (one, other))
    return _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2


def _left_out(rows: Array) -> Array:
    """The mean of rows (n, bins), then the means without each of them."""
    n, total = len(rows), rows.sum(0)
    return np.concatenate([total[None] / n, (total - rows) / (n - 1)])


def _entropy(p: Array) -> Array:
    from scipy.special import entr

    bits: Array = entr(p.clip(0.0)).sum(-1) / np.log(2.0)
    return bits


def _jackknifed(values: Array) -> tuple[Array, Array]:
    """Bias-corrected value and half the width of its 95 % interval, from all and from all but one."""
    n = len(values) - 1
    left = values[1:]
    middle = n * values[0] - (n - 1) * left.mean(0)
    error = np.sqrt((n - 1) / n * np.square(left - left.mean(0)).sum(0))
    return middle, reach(n) * error

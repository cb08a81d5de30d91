"""Fourier statistics of feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import torch
from torch import Tensor

__all__ = [
    "MapStatistics",
    "RadialBins",
    "add_parts",
    "at_least_single",
    "log_amplitude_diagonal",
    "mean_power",
    "mode_multiplicity",
    "power_statistics",
    "radial_frequency",
    "spectrum",
    "transformed",
]

LOW_BAND = 0.25
"""Radial frequency in cycles/pixel that divides the low band (0, 0.25] from the high band (0.25, 0.5]."""

EDGE = 1e-9
"""Slack at the edges of bins and bands, so that rounding does not decide where a mode on an edge falls."""


SMALL = 64
"""Maps of no more pixels are transformed by a matrix product, which is twice as fast as many small FFTs."""


def radial_frequency(height: int, width: int) -> Tensor:
    """R = √(fx² + fy²) in cycles/pixel for the modes of `torch.fft.rfft2`, (H, W//2 + 1), float64.

    Frequencies are those of ``fftfreq``, so non-square maps are right; r > 0.5 only in the corners.
    """
    fy = torch.fft.fftfreq(height, dtype=torch.float64)
    fx = torch.fft.rfftfreq(width, dtype=torch.float64)
    return torch.hypot(*torch.meshgrid(fy, fx, indexing="ij"))


def mode_multiplicity(height: int, width: int) -> Tensor:
    """How many modes of the full transform each mode of `rfft2` stands for, (H, W//2 + 1)."""
    count = torch.full((height, width // 2 + 1), 2.0, dtype=torch.float64)
    # The half that `rfft2` leaves out mirrors the other, but for the columns that mirror into themselves.
    count[:, 0] = 1.0
    if width % 2 == 0:
        count[:, -1] = 1.0
    return count


@dataclass(frozen=True)
class RadialBins:
    """Equal bins of radial frequency from 0 to 1/√2 cycles/pixel; the mean (DC) belongs to none.

    Attributes:
        number: Number of bins.
    """

    number: int

    @property
    def centers(self) -> Tensor:
        """Bin centres (bins,) in cycles/pixel, float64."""
        return (torch.arange(self.number, dtype=torch.float64) + 0.5) * self.step

    @property
    def step(self) -> float:
        """Width of a bin in cycles/pixel."""
        return sqrt(0.5) / self.number

    @lru_cache(maxsize=64)  # noqa: B019 - bins are a value: one per number of bins
    def weights(self, height: int, width: int) -> Tensor:
        """Modes per bin as a 0/1/2 matrix (bins, H · (W//2 + 1)), float64."""
        r = radial_frequency(height, width)
        index = (r / self.step - EDGE).ceil().long().sub(1).clamp(0, self.number - 1)
        index[0, 0] = self.number  # the mean: no bin
        one_hot = torch.nn.functional.one_hot(index.reshape(-1), self.number + 1)[:, :-1]
        return (one_hot * mode_multiplicity(height, width).reshape(-1, 1)).T.contiguous()


@dataclass(frozen=True)
class MapStatistics:
    """Fourier statistics of a batch of feature maps, float64.

    Attributes:
        power: Mean power per radial bin and image, (B, bins), channels averaged; NaN in empty bins.
        ac_power: Mean power over all modes but the mean, (B,).
        high_power: Mean power in the high band (0.25, 0.5], (B,); NaN without such modes.
        low_power: Mean power in the low band (0, 0.25], (B,); NaN without such modes.
        counts: Modes per bin, (bins,).
        radii: Mean radial frequency of the modes in a bin, (bins,) in cycles/pixel; NaN in empty bins.
    """

    power: Tensor
    ac_power: Tensor
    high_power: Tensor
    low_power: Tensor
    counts: Tensor
    radii: Tensor


def spectrum(maps: Tensor, means: Tensor | None = None) -> Tensor:
    """Orthonormal ``rfft2`` of maps (B, C, H, W), each with its mean taken off first, (B, C, H, W//2 + 1).

    Taking the mean off first spares a large constant the others' precision. With ``norm="ortho"`` the
    powers of all modes sum to the sum of squares (Parseval). ``means`` (B, C, 1, 1) may be given if known.
    """
    maps = at_least_single(maps)
    return transformed(maps - (maps.mean((-2, -1), keepdim=True) if means is None else means))


def transformed(maps: Tensor) -> Tensor:
    """Orthonormal ``rfft2`` of maps (..., H, W) in float32 or float64, (..., H, W//2 + 1)."""
    height, width = maps.shape[-2:]
    if height * width > SMALL:
        modes: Tensor = torch.fft.rfft2(maps, norm="ortho")
        return modes
    table = _transform(height, width).to(maps)
    parts = (maps.flatten(-2) @ table).unflatten(-1, (height, width // 2 + 1, 2))  # type: ignore[no-untyped-call]
    return torch.view_as_complex(parts)


@lru_cache(maxsize=16)
def _transform(height: int, width: int) -> Tensor:
    """The transform as a matrix (H · W, H · (W//2 + 1) · 2), real and imaginary parts in turn, float64."""
    waves = torch.eye(height * width, dtype=torch.float64).reshape(-1, height, width)
    return torch.view_as_real(torch.fft.rfft2(waves, norm="ortho")).flatten(1)


def mean_power(modes: Tensor) -> Tensor:
    """Power averaged over channels, (B, H, W//2 + 1) in float64, of a `spectrum` (B, C, H, W//2 + 1)."""
    return add_parts(torch.view_as_real(modes).square().mean(1))  # several times faster than |modes|


def add_parts(squares: Tensor) -> Tensor:
    """Squares of real and imaginary parts (..., 2), which lie next to each other, added in float64: (...)."""
    # A reduction over an axis of two takes twenty times as long.
    return squares[..., 0].double() + squares[..., 1]


def power_statistics(power: Tensor, width: int, bins: RadialBins) -> MapStatistics:
    """Radial power of feature maps.

    Args:
        power: Their `mean_power`, (B, H, W//2 + 1).
        width: W.
        bins: Bins of radial frequency.
    """
    shares, counts, radii = _averages(power.shape[-2], width, bins)
    means = power.flatten(1) @ shares.to(power.device)
    n = bins.number
    return MapStatistics(means[:, :n], means[:, n], means[:, n + 1], means[:, n + 2], counts, radii)


@lru_cache(maxsize=64)
def _averages(height: int, width: int, bins: RadialBins) -> tuple[Tensor, Tensor, Tensor]:
    """What averages power over the bins, all modes but the mean, the high and the low band.

    Returns:
        Shares (H · (W//2 + 1), bins + 3), NaN for empty bins and bands; modes per bin and their mean radius.
    """
    r = radial_frequency(height, width).reshape(-1)
    low = (r > 0) & (r <= LOW_BAND + EDGE)
    high = (r > LOW_BAND + EDGE) & (r <= 0.5 + EDGE)
    weights = bins.weights(height, width)
    bands = torch.stack([r > 0, high, low]) * mode_multiplicity(height, width).reshape(-1)
    every = torch.cat([weights, bands])
    counts = weights.sum(1)
    return (every / every.sum(1, keepdim=True)).T.contiguous(), counts, weights @ r / counts


def log_amplitude_diagonal(modes: Tensor, totals: Tensor) -> Tensor:
    """ln(|FFT2| + 1e-6) at the diagonal modes k = 0, 1, ..., averaged over channels, (B, ceil(H/2)).

    The form of Park & Kim (2022), Figures 2a and 8, for square maps: the transform is not normalised,
    and for even H the Nyquist mode is left out, as there.

    Args:
        modes: `spectrum` of maps (B, C, H, H).
        totals: Sums of the maps over space, (B, C): the constant mode.
    """
    height = modes.shape[-2]
    diagonal = modes.diagonal(dim1=-2, dim2=-1)[..., : height - height // 2]
    # Times H undoes norm="ortho", which the published form does not have; its constant mode is put back,
    # since the mean was taken off before the transform.
    amplitude: Tensor = diagonal.abs().double().mul_(height)
    amplitude[..., 0] = totals.abs().double()
    return amplitude.add_(1e-6).log_().mean(1)


def at_least_single(maps: Tensor) -> Tensor:
    """Half-precision maps as float32: their Fourier transform is not implemented everywhere."""
    return maps.float() if maps.element_size() < 4 else maps

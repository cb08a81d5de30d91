"""Fourier statistics of feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, sqrt

import torch
from torch import Tensor

from landscape.errors import InputError

__all__ = [
    "MapStatistics",
    "RadialBins",
    "log_amplitude_diagonal",
    "map_statistics",
    "radial_frequency",
    "to_maps",
]

LOW_BAND = 0.25
"""Radial frequency in cycles/pixel that divides the low band (0, 0.25] from the high band (0.25, 0.5]."""

EDGE = 1e-9
"""Slack at the edges of bins and bands, so that rounding does not decide where a mode on an edge falls."""


def radial_frequency(height: int, width: int) -> Tensor:
    """R = √(fx² + fy²) in cycles/pixel for the modes of `torch.fft.rfft2`, (H, W//2 + 1), float64.

    Frequencies are those of ``fftfreq``, so non-square maps are right; r > 0.5 only in the corners.
    """
    fy = torch.fft.fftfreq(height, dtype=torch.float64)
    fx = torch.fft.rfftfreq(width, dtype=torch.float64)
    return torch.hypot(*torch.meshgrid(fy, fx, indexing="ij"))


def _multiplicity(height: int, width: int) -> Tensor:
    """How many modes of the full transform each mode of `rfft2` stands for, (H, W//2 + 1)."""
    count = torch.full((height, width // 2 + 1), 2.0, dtype=torch.float64)
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

    def weights(self, height: int, width: int) -> Tensor:
        """Modes per bin as a 0/1/2 matrix (bins, H · (W//2 + 1)), float64."""
        r = radial_frequency(height, width)
        index = (r / self.step - EDGE).ceil().long().sub(1).clamp(0, self.number - 1)
        index[0, 0] = self.number  # the mean: no bin
        one_hot = torch.nn.functional.one_hot(index.reshape(-1), self.number + 1)[:, :-1]
        return (one_hot * _multiplicity(height, width).reshape(-1, 1)).T.contiguous()


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


def map_statistics(maps: Tensor, bins: RadialBins) -> MapStatistics:
    """Radial power of feature maps (B, C, H, W) by the orthonormal transform.

    The mean of each map is taken off first, so that a large constant does not cost precision. With
    ``norm="ortho"`` the powers of all modes sum to the sum of squares (Parseval).
    """
    maps = _at_least_single(maps)
    height, width = maps.shape[-2:]
    centered = maps - maps.mean((-2, -1), keepdim=True)
    spectrum = torch.fft.rfft2(centered, norm="ortho")
    power = (spectrum.real.square() + spectrum.imag.square()).double().mean(1).flatten(1)
    weights = bins.weights(height, width).to(power.device)
    counts = weights.sum(1)
    r = radial_frequency(height, width).reshape(-1).to(power.device)
    modes = _multiplicity(height, width).reshape(-1).to(power.device)

    def mean_over(chosen: Tensor) -> Tensor:
        share = modes * chosen
        mean: Tensor = power @ share / share.sum()  # 0/0 = NaN where the band is empty
        return mean

    return MapStatistics(
        power=power @ weights.T / counts,
        ac_power=mean_over((r > 0).double()),
        high_power=mean_over(((r > LOW_BAND + EDGE) & (r <= 0.5 + EDGE)).double()),
        low_power=mean_over(((r > 0) & (r <= LOW_BAND + EDGE)).double()),
        counts=counts,
        radii=weights @ r / counts,
    )


def log_amplitude_diagonal(maps: Tensor) -> Tensor:
    """ln(|FFT2| + 1e-6) at the diagonal modes k = 0, 1, ..., averaged over channels, (B, ceil(H/2)).

    The form of Park & Kim (2022), Figures 2a and 8, for square maps (B, C, H, H): for even H the
    Nyquist mode is left out, as there.

    Raises:
        InputError: If the maps are not square.
    """
    height, width = maps.shape[-2:]
    if height != width:
        raise InputError(f"the diagonal form needs square maps; got {height} × {width}.")
    k = torch.arange(height - height // 2, device=maps.device)
    amplitude: Tensor = torch.fft.rfft2(_at_least_single(maps))[..., k, k].abs().double()
    return (amplitude + 1e-6).log().mean(1)


def _at_least_single(maps: Tensor) -> Tensor:
    """Half-precision maps as float32: their Fourier transform is not implemented everywhere."""
    return maps.float() if maps.element_size() < 4 else maps


def to_maps(feature: Tensor, prefix_tokens: int | None = None) -> Tensor | None:
    """A feature as maps (B, C, H, W), or ``None`` if it has no spatial axes or no real values.

    Args:
        feature: (B, C, H, W) as it is; tokens (B, T, C) are laid out as a square grid after the prefix
            tokens (class, distillation, register) have been set apart.
        prefix_tokens: How many tokens come before the grid; ``None`` takes the smallest number that
            leaves a square.
    """
    if not feature.is_floating_point():
        return None
    if feature.ndim == 4:
        return feature if min(feature.shape[-2:]) > 1 else None
    if feature.ndim != 3:
        return None
    tokens = feature.shape[1]
    options = range(9) if prefix_tokens is None else (prefix_tokens,)
    for prefix in options:
        side = isqrt(max(tokens - prefix, 0))
        if side > 1 and side * side == tokens - prefix:
            grid = feature[:, prefix:].transpose(1, 2)
            return grid.reshape(*grid.shape[:2], side, side)
    return None

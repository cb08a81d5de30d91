"""Frequency dropout: fixed filters of feature maps, drawn at random while a network is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from landscape.errors import InputError, suggest

__all__ = ["FilterKind", "FilterRanges", "FrequencyDropout", "draw_filters", "filter_kernels"]

FilterKind = Literal["gaussian", "log", "gabor", "highpass"]

PUBLISHED: dict[str, tuple[float, float, float]] = {
    "gaussian": (0.2, 1.0, 0.4),
    "log": (0.2, 3.0, 0.5),
    "gabor": (0.0, 1.0, 0.8),
    # Ours. Below a width of a half the Gaussian is nearly the identity, and the rest of it nearly nothing.
    "highpass": (0.5, 1.0, 0.4),
}
"""Least and largest σ in pixels, and the share of channels that no filter is applied to."""


@dataclass(frozen=True)
class FilterRanges:
    """Which filters are drawn, and how wide they are.

    Attributes:
        kinds: Of filters, see `filter_kernels`; each draw takes one of them, all equally likely.
        low: Least σ of each kind, pixels; ``None`` for the published ones (0.2, 0.2 and 0 of ``gaussian``,
            ``log`` and ``gabor``; 0.5 of ``highpass``, which is ours).
        high: Largest σ of each; ``None`` for 1, 3, 1 and 1.
        identity: Share of the channels that are left as they are; ``None`` for 0.4, 0.5, 0.8 and 0.4.
        size: Rows and columns of a filter, an odd number; 3 with ``log``, whose larger filters are divided by
            sums near zero.

    Raises:
        InputError: If there is no such kind, or a number is out of range.
    """

    kinds: tuple[FilterKind, ...] = ("gaussian", "log", "gabor")
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    identity: tuple[float, ...] | None = None
    size: int = 3

    def __post_init__(self) -> None:
        if not self.kinds:
            raise InputError("FilterRanges: name one kind of filter or more.")
        for kind in self.kinds:
            _check_kind(kind)
        if self.size < 1 or self.size % 2 == 0:
            raise InputError(f"FilterRanges: size is an odd number of pixels, not {self.size}.")
        if "log" in self.kinds and self.size > 3:
            raise InputError(
                f"FilterRanges: log filters of {self.size}×{self.size} pixels are divided by a sum that is"
                " near zero for some σ, and grow without bound; take size 3, or kinds without 'log'."
            )
        for name in ("low", "high", "identity"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.kinds):
                raise InputError(
                    f"FilterRanges: {name} has {len(given)} numbers for {len(self.kinds)} kinds of filters."
                )
        for kind, (low, high, share) in zip(self.kinds, self.of_kinds(), strict=True):
            if not 0 <= low <= high < math.inf:
                raise InputError(f"FilterRanges: σ of {kind} goes from {low} to {high}; both are from 0 on.")
            if not 0 <= share <= 1:
                raise InputError(f"FilterRanges: identity is a share of the channels, not {share}.")

    def of_kinds(self) -> list[tuple[float, float, float]]:
        """Least σ, largest σ and share of untouched channels of each kind."""
        usual = zip(*(PUBLISHED[kind] for kind in self.kinds), strict=True)
        given = (self.low, self.high, self.identity)
        chosen = [given_ or usual_ for given_, usual_ in zip(given, usual, strict=True)]
        return [(low, high, share) for low, high, share in zip(*chosen, strict=True)]


class FrequencyDropout(nn.Module):
    """One fixed filter for each channel of maps (N, C, H, W), drawn anew by `draw_filters`.

    It stands between a convolution and its BatchNorm, has no parameters and leaves nothing in the state dict.
    Until filters are drawn it is the identity. So it is in eval mode, by default: the running statistics of
    the BatchNorm behind it are then those of filtered maps, and must be taken anew. The published code leaves
    the filters of the epoch on when it tests the network, which ``eval_filters`` does.

    Args:
        channels: C.
        eval_filters: Whether filters stay on in eval mode.

    Raises:
        InputError: If there is no channel.

    Reference:
        Islam & Glocker (2022), Frequency dropout: feature-level regularization via randomized filtering,
        MCV workshop at ECCV; settings of their code.
    """

    kernels: Tensor | None

    def __init__(self, channels: int, *, eval_filters: bool = False) -> None:
        super().__init__()
        if channels < 1:
            raise InputError(f"FrequencyDropout: channels must be at least 1, not {channels}.")
        self.channels, self.eval_filters = channels, eval_filters
        self.register_buffer("kernels", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) filtered channel by channel; beyond the edge they are zero."""
        if self.kernels is None or not (self.training or self.eval_filters):
            return x
        kernels = self.kernels.to(x)
        return functional.conv2d(x, kernels, padding=kernels.shape[-1] // 2, groups=self.channels)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.channels}, eval_filters={self.eval_filters}"


def draw_filters(
    layers: Iterable[FrequencyDropout], ranges: FilterRanges, generator: Generator
) -> FilterKind:
    """Draw the filters of all layers of a network: one kind for all, a σ of its own for each channel.

    With the kind's probability a channel is left as it is; else σ is uniform within the kind's range. In the
    published code both layers of a residual block share their σ; here each has its own.

    Args:
        layers: The layers, in an order that does not change.
        ranges: What is drawn.
        generator: The only source of random numbers, on the CPU.

    Returns:
        The kind.
    """
    place = int(torch.randint(len(ranges.kinds), (), generator=generator))
    kind, (low, high, share) = ranges.kinds[place], ranges.of_kinds()[place]
    for layer in layers:
        sigma = low + (high - low) * torch.rand(layer.channels, generator=generator)
        sigma[torch.rand(layer.channels, generator=generator) < share] = 0.0
        layer.kernels = filter_kernels(kind, sigma, ranges.size)
    return kind


def filter_kernels(kind: FilterKind, sigma: Tensor | Sequence[float], size: int = 3) -> Tensor:
    """Filters of some widths, (C, 1, size, size), for convolutions of one group for each channel.

    With r the distance from the centre and x its part along the rows, in pixels:

    - ``gaussian``: ∝ exp(−r²/2σ²), of sum 1.
    - ``log``: ∝ (1 − r²/2σ²) exp(−r²/2σ²), divided by its sum as in the published code. Its gain at frequency
      zero is therefore 1, where that of a Laplacian of a Gaussian is 0: it sharpens if σ is small, and is a
      box blur if σ is large. Of more than 3×3 pixels the sum comes near zero for some σ (5×5: gains above 100
      at σ = 0.7).
    - ``gabor``: exp(−x²/2σ²) cos(2πx/3) in every row, not normalised, as published: its gain at frequency
      zero falls from 3 to 1.2 as σ goes from 0 to 1.
    - ``highpass``: the identity less ``gaussian``, of sum 0. Ours: no published kind takes out low
      frequencies.

    σ = 0 is the identity for every kind.

    Args:
        kind: One of these.
        sigma: σ of each of C channels, pixels, from 0 on.
        size: Rows and columns, an odd number.

    Raises:
        InputError: If there is no such kind, a σ is below 0 or NaN, or the size is even.
    """
    _check_kind(kind)
    if size < 1 or size % 2 == 0:
        raise InputError(f"filter_kernels: size is an odd number of pixels, not {size}.")
    widths = torch.as_tensor(sigma, dtype=torch.get_default_dtype()).view(-1, 1, 1)
    if not bool((widths >= 0).all()):
        raise InputError(f"filter_kernels: σ is a number of pixels from 0 on, not {float(widths.min())}.")
    off = widths == 0
    places = torch.arange(size, dtype=widths.dtype) - size // 2
    x2 = (places**2).expand(size, size)
    # No division by zero: these channels are replaced below.
    u = 0.5 / torch.where(off, torch.ones_like(widths), widths) ** 2
    u = u.clamp(max=torch.finfo(u.dtype).max)  # of the narrowest widths it overflows, and ∞ · 0 is NaN
    identity = torch.zeros(size, size, dtype=widths.dtype)
    identity[size // 2, size // 2] = 1.0
    if kind == "gabor":
        made = torch.exp(-u * x2) * torch.cos(2.0 * math.pi / 3.0 * places)
    else:
        r2 = x2 + x2.T
        made = torch.exp(-u * r2)
        if kind == "log":
            made = torch.where(made > 0, (1.0 - u * r2) * made, 0.0)
        made = made / made.sum((-2, -1), keepdim=True)
        if kind == "highpass":
            made = identity - made
    return torch.where(off, identity, made).unsqueeze(1)


def _check_kind(kind: str) -> None:
    if kind not in get_args(FilterKind):
        raise InputError(f"there is no filter '{kind}'; {suggest(str(kind), get_args(FilterKind))}")

"""Attention heads as linear filters on the patch grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.core.frequency import LOW_BAND, RadialBins, mode_multiplicity, radial_frequency
from landscape.core.layout import Layouts
from landscape.core.moments import Moments
from landscape.core.observe import Collector
from landscape.errors import InputError

__all__ = ["HeadCollector", "HeadRows", "head_rows"]

_SLACK = 1e-9


def head_rows(weights: Tensor, side: int, prefix: int, bins: RadialBins, worst: int) -> dict[str, Tensor]:
    """What heads do to the modes of the patch grid, for each row of a batch.

    With F the orthonormal transform of the grid and A the patch-to-patch part of the weights,
    M = F A Fᴴ; mode k goes in, mode m comes out with amplitude M_mk.

    Args:
        weights: Attention weights (b, heads, T, T), T = prefix + side².
        side: Patches along each axis.
        prefix: Tokens before the grid; their rows and columns are set apart.
        bins: Radial bins.
        worst: For so many rows, the first, σ_max(HAH), H = I − J/n, is worked out; it costs n³ per head.

    Returns:
        (b, heads) or (b, heads, bins) tensors: ``gain2`` Σ_m |M_mk|² and ``kept2`` |M_kk|² averaged over
        each bin, ``leakage`` of non-constant modes, ``mean_gain`` of the constant mode, ``high_low``
        ln of the root mean gain² in the high over that in the low band, ``entropy`` in nats over all
        tokens, ``distance`` in patches, ``prefix_share`` of the attention, and ``worst`` (worst, heads).
    """
    b, heads, n = weights.shape[0], weights.shape[1], side * side
    weights = weights.float() if weights.element_size() < 4 else weights
    patches = weights[..., prefix:, prefix:]
    grid = patches.reshape(b, heads, side, side, side, side)
    M = torch.fft.ifft2(torch.fft.fft2(grid, dim=(2, 3), norm="ortho"), dim=(4, 5), norm="ortho")
    M = M.reshape(b, heads, n, n)
    power = M.real.square() + M.imag.square()
    gain2 = power.sum(-2, dtype=torch.float64)
    kept2 = power.diagonal(dim1=-2, dim2=-1).double()
    half = _half_modes(side)
    share = bins.weights(side, side)
    share = (share / share.sum(1, keepdim=True)).to(weights.device)
    r, count = radial_frequency(side, side).reshape(-1), mode_multiplicity(side, side).reshape(-1)
    low = (count * ((r > 0) & (r <= LOW_BAND + _SLACK))).to(weights.device)
    high = (count * ((r > LOW_BAND + _SLACK) & (r <= 0.5 + _SLACK))).to(weights.device)
    gain_half = gain2[..., half]
    means = [gain_half @ band / band.sum() for band in (high, low)]
    towards = patches.sum(-1, dtype=torch.float64)
    rows = {
        "gain2": gain_half @ share.T,
        "kept2": kept2[..., half] @ share.T,
        "leakage": 1.0 - kept2[..., 1:].sum(-1) / gain2[..., 1:].sum(-1),
        "mean_gain": gain2[..., 0].sqrt(),
        "high_low": 0.5 * (means[0] / means[1]).log(),
        "entropy": -torch.special.xlogy(weights[..., prefix:, :], weights[..., prefix:, :])
        .sum(-1)
        .double()
        .mean(-1),
        "distance": ((patches * _distances(side, weights)).sum(-1).double() / towards).mean(-1),
        "prefix_share": 1.0 - towards.mean(-1),
    }
    if worst:
        centered = patches[:worst] - patches[:worst].mean(-1, keepdim=True)
        centered = centered - centered.mean(-2, keepdim=True)
        rows["worst"] = torch.linalg.matrix_norm(centered, ord=2).double()
    return rows


def _half_modes(side: int) -> Tensor:
    """Where the modes of ``rfft2`` are among those of ``fft2``; those of a real A tell of the others."""
    return torch.arange(side * side).reshape(side, side)[:, : side // 2 + 1].reshape(-1)


def _distances(side: int, like: Tensor) -> Tensor:
    """Distances between patches, (n, n), in patches."""
    at = torch.arange(side, dtype=like.dtype, device=like.device)
    places = torch.cartesian_prod(at, at)
    distances: Tensor = torch.linalg.vector_norm(places[:, None] - places[None], dim=-1)
    return distances


@dataclass
class HeadRows:
    """Streaming statistics of one attention: by quantity, over images.

    Attributes:
        heads: Number of heads.
        side: Patches along each axis of the grid or of a window.
        windows: Windows per image.
        prefix: Tokens before the grid.
        moments: Mean and spread over images by quantity.
    """

    heads: int
    side: int
    windows: int
    prefix: int
    moments: dict[str, Moments]


class HeadCollector(Collector):
    """Statistics of every self-attention over a square grid of patches.

    Args:
        bins: Number of radial bins.
        prefix_tokens: Tokens before the grid.
        worst_images: The worst gain is worked out for so many images, or windows, the first ones.
    """

    attention = True

    def __init__(self, bins: int, prefix_tokens: int | None, worst_images: int) -> None:
        self.bins = RadialBins(bins)
        self.prefix_tokens = prefix_tokens
        self.worst_images = worst_images
        self.layers: dict[str, HeadRows] = {}

    def receive_attention(self, name: str, examples: int, weights: Iterator[Tensor]) -> None:
        """Reduce the weights of a call to rows per image."""
        parts: dict[str, list[Tensor]] = {}
        known = self.layers.get(name)
        worst = self.worst_images - (known.moments["worst"].count if known else 0)
        size: tuple[int, int, int] | None = None
        rows = 0
        for chunk in weights:
            size = size or self._grid(chunk)
            if size is None:
                return
            for key, value in head_rows(chunk, *size[:2], self.bins, max(0, worst - rows)).items():
                parts.setdefault(key, []).append(value.cpu())
            rows += len(chunk)
        windows, rest = divmod(rows, examples)
        if size is None or rest:
            return
        layer = self.layers.setdefault(name, HeadRows(size[2], size[0], windows, size[1], {}))
        if layer.side != size[0]:
            raise InputError(
                f"attention '{name}' has grids of {layer.side} × {layer.side} and of {size[0]} × {size[0]}"
                " patches, whose modes differ; give images of one size."
            )
        for key, found in parts.items():
            values = torch.cat(found)
            if key != "worst":
                values = values.reshape(-1, windows, *values.shape[1:]).mean(1)
            layer.moments.setdefault(key, Moments()).add(values.numpy())

    def _grid(self, weights: Tensor) -> tuple[int, int, int] | None:
        """Side, prefix and number of heads; ``None`` if the tokens are no square grid."""
        heads, queries, keys = weights.shape[1:]
        layout = Layouts(self.prefix_tokens).find(weights[:, 0], len(weights))
        if queries != keys or layout is None:
            return None
        assert isqrt(queries - layout.prefix) == layout.height
        return layout.height, layout.prefix, heads

    def complete(self) -> dict[str, HeadRows]:
        """Attentions by name in firing order, seen for every example."""
        return {n: x for n, x in self.layers.items() if x.moments["entropy"].count == self.examples}

    def table(self, key: str, error: bool = False) -> Any:
        """A quantity of all heads, (layers, heads, ...); NaN where a layer has fewer heads."""
        layers = list(self.complete().values())
        most = max(layer.heads for layer in layers)
        rows = []
        for layer in layers:
            moments = layer.moments[key]
            row = moments.error if error else moments.mean
            pad = [(0, most - layer.heads)] + [(0, 0)] * (np.ndim(row) - 1)
            rows.append(np.pad(row, pad, constant_values=np.nan))
        return np.stack(rows)

"""Attention heads as linear filters on the patch grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor

from landscape.core.features.collector import Collector
from landscape.core.features.fourier import (
    LOW_BAND,
    RadialBins,
    add_parts,
    mode_multiplicity,
    radial_frequency,
    transformed,
)
from landscape.core.features.map_layout import MapLayouts
from landscape.core.stats.moments import Moments
from landscape.errors import InputError

__all__ = ["Grid", "HeadCollector", "HeadRows", "head_rows"]

_SLACK = 1e-9  # rounding must not decide on which side of a band's edge a mode lies


@dataclass(frozen=True)
class Grid:
    """Where the tokens of an attention lie.

    Attributes:
        height: Patches of the whole grid, from top to bottom.
        width: Patches of the whole grid, from left to right.
        prefix: Tokens before the grid.
        window: Height and width of the windows that tile the grid; ``None``: attention over all of it.
    """

    height: int
    width: int
    prefix: int = 0
    window: tuple[int, int] | None = None

    @property
    def windows(self) -> int:
        """Windows per image."""
        return self.height * self.width // (self.part[0] * self.part[1])

    @property
    def part(self) -> tuple[int, int]:
        """Height and width of what attends to itself."""
        return self.window or (self.height, self.width)

    @classmethod
    def find(cls, tokens: int, windows: int, layouts: MapLayouts) -> Grid | None:
        """The grid of so many tokens in each of an image's windows; ``None`` if they are none.

        The size of a grid in windows is that of the latest 4-D feature that they tile once it is padded to
        whole windows, and as many windows along both axes else.
        """
        placed = layouts.grid(tokens)
        if placed is None:
            return None
        prefix, height, width = placed
        if windows == 1:
            return cls(height, width, prefix)
        if prefix:  # a class token belongs to an image, not to each of its windows
            return None
        for size in layouts.sizes():
            across = -(-size[0] // height), -(-size[1] // width)  # rounded up: padded to whole windows
            if across[0] * across[1] == windows:
                return cls(across[0] * height, across[1] * width, 0, (height, width))
        side = isqrt(windows)
        return cls(side * height, side * width, 0, (height, width)) if side * side == windows else None


def head_rows(weights: Tensor, grid: Grid, bins: RadialBins, worst: int) -> dict[str, Tensor]:
    """What heads do to the modes of the patch grid, for each image of a batch.

    With F the orthonormal transform of the whole grid and A the patch-to-patch weights, M = F A Fᴴ; mode k
    goes in, mode m comes out with amplitude M_mk. Windows, put back to their places, make A block-diagonal;
    where a window lies changes the phases of a mode in it but no magnitude, so a cyclic shift of the grid
    before it is cut does not matter, and sums over windows are all that is needed.

    Args:
        weights: Attention weights (b · windows, heads, T, T), T = prefix + patches of a window, windows of
            an image one after the other.
        grid: Where the tokens lie.
        bins: Radial bins.
        worst: For so many images, the first, σ_max(HAH), H = I − J/n, is worked out.

    Returns:
        (b, heads) or (b, heads, bins) tensors: ``gain2`` Σ_m |M_mk|² and ``kept2`` |M_kk|² averaged over
        each bin, ``leakage`` of non-constant modes, ``mean_gain`` of the constant mode, ``high_low``
        ln of the root mean gain² in the high over that in the low band, ``entropy`` in nats over all
        tokens, ``distance`` in patches, ``prefix_share`` of the attention, and ``worst`` (worst, heads).
    """
    weights = weights.float() if weights.element_size() < 4 else weights
    weights = weights.reshape(-1, grid.windows, *weights.shape[1:])
    patches = weights[..., grid.prefix :, grid.prefix :].contiguous()
    gain2, kept2 = _windowed(patches, grid) if grid.window else _whole(patches[:, 0], grid)
    towards = patches.sum(-1, dtype=torch.float64)
    rows = _over_modes(gain2, kept2, grid, bins) | {
        "entropy": _entropy(weights[..., grid.prefix :, :]).mean((1, -1)),
        "distance": ((patches * _distances(grid.part, weights)).sum(-1).double() / towards).mean((1, -1)),
        "prefix_share": 1.0 - towards.mean((1, -1)),
    }
    if worst:
        rows["worst"] = _worst(patches[:worst])
    return rows


def _whole(A: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Σ_m |M_mk|² and |M_kk|² at the modes of ``rfft2``, (b, heads, modes), of A (b, heads, n, n).

    F is unitary, so the first is the squared norm of column k of A Fᴴ: one transform serves both.
    """
    n = A.shape[-1]
    # The rows of A are patches of the output, so its last axis is transformed: row i holds (A Fᴴ)_i up to
    # conjugation, which no magnitude sees.
    out = transformed(A.reshape(*A.shape[:-1], grid.height, grid.width)).flatten(-2)
    gain2 = add_parts(torch.view_as_real(out).square().sum(-3))
    # M_kk = (F A Fᴴ)_kk: column k of A Fᴴ, met with row k of F.
    waves = _waves((grid.height, grid.width), (grid.height, grid.width)).to(A)
    wave = torch.complex(*waves) / n**0.5
    kept: Tensor = (out * wave).sum(-2)
    return gain2, torch.view_as_real(kept).double().square().sum(-1)


def _windowed(A: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """The same of the windows A (b, windows, heads, n, n) of a grid: quadratic forms of their sums."""
    # With the wave e = cos + i sin within a window, Σ ‖A e‖² over windows = eᴴ(Σ AᵀA)e, and
    # Σ eᴴAe = eᴴ(Σ A)e: the phase that a window's place gives its wave cancels in both.
    cos, sin = _waves(grid.part, (grid.height, grid.width)).to(A.device)
    A = A.double()
    squares, total = (A.mT @ A).sum(1), A.sum(1)
    gain2 = (cos * (squares @ cos)).sum(-2) + (sin * (squares @ sin)).sum(-2)
    even = (cos * (total @ cos)).sum(-2) + (sin * (total @ sin)).sum(-2)
    odd = (cos * (total @ sin)).sum(-2) - (sin * (total @ cos)).sum(-2)
    patches = grid.height * grid.width
    return gain2 / patches, (even.square() + odd.square()) / patches**2


def _waves(part: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Cosine and sine of the grid's ``rfft2`` modes at the patches of a part, (2, n, modes), float64."""
    y, x = torch.arange(part[0], dtype=torch.float64), torch.arange(part[1], dtype=torch.float64)
    ky, kx = torch.fft.fftfreq(grid[0], dtype=torch.float64), torch.fft.rfftfreq(grid[1], dtype=torch.float64)
    down, across = torch.outer(y, ky)[:, None, :, None], torch.outer(x, kx)[None, :, None, :]
    phase = 2.0 * torch.pi * (down + across).reshape(len(y) * len(x), -1)
    return torch.stack([phase.cos(), phase.sin()])


def _over_modes(gain2: Tensor, kept2: Tensor, grid: Grid, bins: RadialBins) -> dict[str, Tensor]:
    """Averages of gain² and of its shift-invariant part over modes."""
    share = bins.weights(grid.height, grid.width)
    share = (share / share.sum(1, keepdim=True)).to(gain2.device)
    r = radial_frequency(grid.height, grid.width).reshape(-1)
    count = mode_multiplicity(grid.height, grid.width).reshape(-1)
    low = (count * ((r > 0) & (r <= LOW_BAND + _SLACK))).to(gain2.device)
    high = (count * ((r > LOW_BAND + _SLACK) & (r <= 0.5 + _SLACK))).to(gain2.device)
    other = (count * (r > 0)).to(gain2.device)
    means = [gain2 @ band / band.sum() for band in (high, low)]
    return {
        "gain2": gain2 @ share.T,
        "kept2": kept2 @ share.T,
        "leakage": 1.0 - (kept2 @ other) / (gain2 @ other),
        "mean_gain": gain2[..., 0].sqrt(),
        "high_low": 0.5 * (means[0] / means[1]).log(),
    }


def _entropy(weights: Tensor) -> Tensor:
    """−Σ A ln A over the last axis, float64; 0 ln 0 = 0."""
    tiny = torch.finfo(weights.dtype).tiny  # so that 0 · ln stays finite
    entropy: Tensor = -(weights * weights.clamp(min=tiny).log()).sum(-1).double()
    return entropy


def _worst(A: Tensor) -> Tensor:
    """σ_max(HAH), (b, heads), of windows A (b, windows, heads, n, n) put together.

    One window is decomposed; several never form the whole matrix, and Lanczos finds the value.
    """
    if A.shape[1] == 1:
        centered = A[:, 0] - A[:, 0].mean(-1, keepdim=True)
        centered = centered - centered.mean(-2, keepdim=True)
        norms: Tensor = torch.linalg.matrix_norm(centered, ord=2)
        return norms.double()
    blocks = A.transpose(1, 2).double().cpu().numpy()  # (b, heads, windows, n, n)
    found = [_largest(matrix) for image in blocks for matrix in image]
    return torch.tensor(found, dtype=torch.float64).reshape(blocks.shape[:2])


def _largest(blocks: Any) -> float:
    """Largest singular value of the block-diagonal matrix (windows, n, n) without means."""
    size = blocks.shape[0] * blocks.shape[1]

    # H A H with H = I − 11ᵀ/n: the mean over all patches is taken off before and after.
    def times(matrix: Any) -> Any:
        def product(x: Any) -> Any:
            x = (x - x.mean()).reshape(blocks.shape[0], -1, 1)
            y = (matrix @ x).ravel()
            return y - y.mean()

        return product

    operator = LinearOperator(
        (size, size), matvec=times(blocks), rmatvec=times(blocks.transpose(0, 2, 1)), dtype=np.float64
    )
    # A fixed start: svds would draw one, and the same weights would not give the same bits.
    start = np.random.default_rng(0).standard_normal(size)
    return float(svds(operator, k=1, v0=start, return_singular_vectors=False)[0])


def _distances(size: tuple[int, int], like: Tensor) -> Tensor:
    """Distances between patches, (n, n), in patches."""
    sides = (torch.arange(side, dtype=like.dtype, device=like.device) for side in size)
    places = torch.cartesian_prod(*sides)
    distances: Tensor = torch.linalg.vector_norm(places[:, None] - places[None], dim=-1)
    return distances


@dataclass
class HeadRows:
    """Streaming statistics of one attention: by quantity, over images.

    Attributes:
        heads: Number of heads.
        grid: Where its tokens lie.
        moments: Mean and spread over images by quantity.
    """

    heads: int
    grid: Grid
    moments: dict[str, Moments]


class HeadCollector(Collector):
    """Statistics of every self-attention over a grid of patches.

    Args:
        bins: Number of radial bins.
        prefix_tokens: Tokens before the grid.
        grid: Its height and width, if told.
        worst_images: The worst gain is worked out for so many images, the first that come.
        images: At most so many images are looked at.
    """

    attention = True

    def __init__(
        self,
        bins: int,
        prefix_tokens: int | None,
        worst_images: int,
        images: int | None = None,
        *,
        grid: tuple[int, int] | None = None,
    ) -> None:
        self.images = images
        self.bins = RadialBins(bins)
        self.prefix_tokens, self.grid = prefix_tokens, grid
        self.worst_images = worst_images
        self.layers: dict[str, HeadRows] = {}

    def receive_attention(
        self, name: str, examples: int, rows: int, weights: Iterator[Tensor], layouts: MapLayouts
    ) -> None:
        """Reduce the weights of a call to rows per image."""
        windows, rest = divmod(rows, examples)
        for images in () if rest else _whole_images(weights, windows):
            heads, queries, keys = images.shape[1:]
            grid = Grid.find(keys, windows, layouts)
            if grid is None or queries != keys:
                return
            layer = self.layers.setdefault(name, HeadRows(heads, grid, {}))
            if layer.grid != grid:
                sizes = [f"{g.height} × {g.width}" for g in (layer.grid, grid)]
                raise InputError(
                    f"attention '{name}' has grids of {sizes[0]} and of {sizes[1]} patches, whose modes"
                    " differ; give images of one size."
                )
            known = layer.moments.get("worst")
            worst = self.worst_images - (known.count if known else 0)
            for key, values in head_rows(images, grid, self.bins, max(0, worst)).items():
                layer.moments.setdefault(key, Moments()).add(values.cpu().numpy())

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


def _whole_images(chunks: Iterator[Tensor], windows: int) -> Iterator[Tensor]:
    """The rows of chunks, cut where an image ends."""
    held: list[Tensor] = []
    for chunk in chunks:
        rows = torch.cat([*held, chunk]) if held else chunk
        whole = len(rows) // windows * windows
        held = [rows[whole:]] if whole < len(rows) else []
        if whole:
            yield rows[:whole]

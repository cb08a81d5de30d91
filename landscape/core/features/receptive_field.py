"""Effective receptive fields: which pixels move the middle of a layer's maps, and how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch
from landscape.core.features.hooks import first_tensor
from landscape.core.features.map_layout import MapLayouts
from landscape.core.features.units import Selection, Unit, find_units, inside_attention
from landscape.core.problem.problem import Problem

__all__ = ["ReceptiveField", "receptive_fields", "side_holding"]

Array = NDArray[np.float64]

ROUNDING = 100.0
"""Gradients of less than so many roundings of the largest are what some algorithms leave of zero."""


@dataclass
class ReceptiveField:
    """The field of one layer, gathered over images.

    Attributes:
        unit: The layer.
        total: Sum over images of |∂ Σ_c z_c(middle)/∂x(p)|, summed over the channels of x, (H, W).
        largest: Its maximum over images, (H, W).
        moments: Of each image the sums of the field, and of it times y, x, y² and x², pixels counted from the
            middle of the picture, (n, 5).
        eps: Rounding of the gradients.
    """

    unit: Unit
    total: Array
    largest: Array
    moments: list[Array] = field(default_factory=list)
    eps: float = 0.0

    def add(self, gradient: Tensor) -> None:
        """Add gradients (B, C, H, W)."""
        self.eps = float(torch.finfo(gradient.dtype).eps)
        fields = gradient.detach().double().abs().sum(1).cpu().numpy()
        self.total += fields.sum(0)
        self.largest = np.maximum(self.largest, fields.max(0))
        y, x = (np.arange(n) - (n - 1) / 2 for n in fields.shape[1:])
        rows, columns = fields.sum(2), fields.sum(1)
        self.moments.append(
            np.stack([rows.sum(1), rows @ y, columns @ x, rows @ y**2, columns @ x**2], axis=1)
        )

    def variance(self) -> tuple[Array, Array]:
        """Variance along height and width in pixels², (2,), and its standard error over images (jackknife).

        NaN if nothing moves the layer; the error of a single image is NaN.
        """
        each = np.concatenate(self.moments)
        value = _variance(each.sum(0))
        count = len(each)
        if count < 2:
            return value, np.full(2, np.nan)
        without = _variance(each.sum(0) - each)
        spread = without - without.mean(0)
        return value, np.sqrt((count - 1) / count * np.square(spread).sum(0))

    def support(self) -> Array:
        """Height and width of the box that holds every pixel that moves the layer for any image, (2,)."""
        seen = self.largest > ROUNDING * self.eps * self.largest.max()
        ends = [np.flatnonzero(seen.any(axis)) for axis in (1, 0)]
        return np.array([float(e[-1] - e[0] + 1) if len(e) else np.nan for e in ends])


def _variance(sums: Array) -> Array:
    """Variances (..., 2) from sums (..., 5)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[..., 1:] / sums[..., :1]
    variance: Array = means[..., 2:] - means[..., :2] ** 2
    return variance


def side_holding(total: Array, shares: Sequence[float]) -> Array:
    """Sides of the least squares about a field's centre of mass that hold shares of it, in pixels.

    The centre is rounded to half a pixel, so that sides are whole: odd about a pixel, even about an edge.

    Args:
        total: The field (H, W).
        shares: From 0 to 1.
    """
    mass = total.sum()
    if not mass > 0:
        return np.full(len(shares), np.nan)
    reach = np.zeros(total.shape)
    for axis in (0, 1):
        at = np.arange(total.shape[axis])
        # The rounding first: an exact half comes out a little to either side of it.
        center = np.round(2.0 * round(float(total.sum(1 - axis) @ at / mass), 9)) / 2.0
        distance = np.abs(at - center)
        reach = np.maximum(reach, distance[:, None] if axis == 0 else distance)
    order = np.argsort(reach, axis=None, kind="stable")
    held = np.cumsum(total.ravel()[order]) / mass
    found = [min(int(np.searchsorted(held, share - 1e-9)), len(held) - 1) for share in shares]
    return 2.0 * reach.ravel()[order][found] + 1.0


@under_own_context
def receptive_fields(
    problem: Problem,
    batches: Iterable[tuple[Batch, Tensor]],
    selection: Selection,
    *,
    names: Sequence[str] | None = None,
    prefix_tokens: int | None = None,
    grid: tuple[int, int] | None = None,
) -> dict[str, ReceptiveField]:
    """The fields of layers with maps, by name in firing order: one gradient for each layer and batch.

    Outputs are taken as they are, positive and negative; the middle of a map of even size is the pixel behind
    its centre, and that of a grid of tokens the middle patch.

    Args:
        problem: The model.
        batches: Batches with the images among their tensors (B, C, H, W).
        selection: The layers.
        names: Of these, those to differentiate; ``None`` for all.
        prefix_tokens: See `landscape.core.features.map_layout.MapLayouts`.
        grid: Likewise.

    Reference:
        Luo, Li, Urtasun & Zemel (2016), Understanding the effective receptive field, section 2.
    """
    units = find_units(problem.module)
    selection.check(units, problem.module)
    fields: dict[str, ReceptiveField] = {}
    for batch, images in batches:
        pixels = images.detach().clone().requires_grad_(True)
        layouts = MapLayouts(prefix_tokens, True, grid)
        layouts.learn(pixels, "first")
        middles = _Middles(units, selection, names, layouts, batch.size)
        with torch.enable_grad(), middles.watching(problem.module):
            problem.output(batch.replace(images, pixels))
        for name, middle in middles.found.items():
            known = fields.get(name)
            if known is None:
                shape = tuple(pixels.shape[-2:])
                known = ReceptiveField(units[name.partition("#")[0]], np.zeros(shape), np.zeros(shape))
                fields[name] = known
            known.add(_gradient(middle, pixels))
    return fields


@dataclass
class _Middles:
    """What stands in the middle of the maps of a batch, summed over channels and images, by layer.

    Not `watch_outputs`: of a tensor that a layer hands on from its last part that one names the part alone.
    """

    units: Mapping[str, Unit]
    selection: Selection
    names: Sequence[str] | None
    layouts: MapLayouts
    examples: int
    found: dict[str, Tensor] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Within it, a forward pass of the model is looked at."""
        named = dict(model.named_modules())
        modules = {name: named.get(name, model) for name in self.units}  # a model without parts is one unit
        handles = [
            module.register_forward_hook(partial(self._fired, name)) for name, module in modules.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _fired(self, name: str, module: nn.Module, _: Any, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is None:
            return
        count = self.calls[name]
        self.calls[name] += 1
        if tensor.ndim == 4 and inside_attention(name, self.units) and not _knows_axes(module):
            return  # queries, keys or weights (B, heads, T, ·)
        # Asked of every layer: those that know their axes teach it those of the rest.
        layout = self.layouts.find(tensor, self.examples, module)
        full = f"{name}#{count}" if count else name
        if layout is None or not self.selection.takes(self.units[name]):
            return
        if self.names is None or full in self.names:
            maps = layout.to_maps(tensor)
            # At once: a layer that works in place would change the output later.
            self.found[full] = maps[..., maps.shape[-2] // 2, maps.shape[-1] // 2].sum()


def _knows_axes(module: nn.Module | None) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d | nn.BatchNorm2d)


def _gradient(value: Tensor, pixels: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(pixels)
    (gradient,) = torch.autograd.grad(value, pixels, retain_graph=True, allow_unused=True)
    return torch.zeros_like(pixels) if gradient is None else gradient

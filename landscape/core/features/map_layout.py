"""Layouts of maps: where a feature has its channels and its two spatial axes, and the way there and back."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from landscape.core.data.batches import tensors_in

__all__ = ["MapLayout", "MapLayouts", "are_pictures", "are_series"]

_MOST_PREFIX_TOKENS = 8


@dataclass(frozen=True)
class MapLayout:
    """How a feature holds maps (B, C, H, W).

    Attributes:
        form: ``first`` (B, C, H, W), ``last`` (B, H, W, C), ``tokens`` (B, prefix + H·W, C) or
            ``windows`` (B·windows², H·W/windows², C), windows in row order.
        height: H.
        width: W.
        prefix: Tokens before the grid (class, distillation, register).
        windows: Windows along each axis.
    """

    form: Literal["first", "last", "tokens", "windows"]
    height: int
    width: int
    prefix: int = 0
    windows: int = 1

    def to_maps(self, feature: Tensor) -> Tensor:
        """The feature as maps (B, C, H, W), a view where possible."""
        if self.form == "first":
            return feature
        if self.form == "last":
            return feature.permute(0, 3, 1, 2)
        channels = feature.shape[-1]
        if self.form == "tokens":
            grid = feature[:, self.prefix :].transpose(1, 2)
            return grid.reshape(len(feature), channels, self.height, self.width)
        n, h, w = self.windows, self.height // self.windows, self.width // self.windows
        split = feature.reshape(-1, n, n, h, w, channels).permute(0, 5, 1, 3, 2, 4)
        return split.reshape(len(split), channels, self.height, self.width)

    def from_maps(self, maps: Tensor, feature: Tensor) -> Tensor:
        """Maps (B, C, H, W) in this layout; prefix tokens are those of ``feature``."""
        if self.form == "first":
            return maps
        if self.form == "last":
            return maps.permute(0, 2, 3, 1)
        channels = maps.shape[1]
        if self.form == "tokens":
            tokens = maps.flatten(2).transpose(1, 2)
            return torch.cat([feature[:, : self.prefix], tokens.to(feature.dtype)], dim=1)
        n, h, w = self.windows, self.height // self.windows, self.width // self.windows
        split = maps.reshape(len(maps), channels, n, h, n, w).permute(0, 2, 4, 3, 5, 1)
        return split.reshape(-1, h * w, channels)


def are_pictures(inputs: object) -> bool:
    """Whether inputs (a tensor, or nested tuples, lists and mappings of tensors) hold images (B, C, H, W).

    Example:
        >>> are_pictures(torch.zeros(2, 3, 8, 8)), are_pictures(torch.zeros(2, 16, dtype=torch.long))
        (True, False)
    """
    return any(
        t.ndim == 4 and (t.is_floating_point() or t.dtype == torch.uint8) for _, t in tensors_in(inputs)
    )


def are_series(inputs: object) -> bool:
    """Whether inputs hold series (B, C, T) of real numbers, and no images.

    Example:
        >>> are_series(torch.zeros(2, 3, 8)), are_series(torch.zeros(2, 3, 8, 8))
        (True, False)
    """
    real = [t for _, t in tensors_in(inputs) if t.is_floating_point()]
    return any(t.ndim == 3 for t in real) and not are_pictures(inputs)


class MapLayouts:
    """Finds layouts during a forward pass. Modules that know their axes teach it the rest.

    Only what comes of a picture has maps: of an image input (B, C, H, W), or of a 2-D convolution's output.
    Sixteen tokens of text are no 4 × 4 picture, though nothing in their shape tells them from one.

    Args:
        prefix_tokens: How many tokens come before the grid; ``None`` takes the smallest number that leaves a
            grid. A grid is that of 4-D maps met before if they are not square, as of a convolution that
            cuts patches, and a square else.
        pictures: Whether the features come of pictures; if not, none has maps until a 2-D convolution fires.
        grid: Height and width of the grid, told by the user: sequences of so many tokens, and prefix tokens
            before them, have maps wherever they come from, and no others.
    """

    def __init__(
        self,
        prefix_tokens: int | None = None,
        pictures: bool = True,
        grid: tuple[int, int] | None = None,
    ) -> None:
        self.prefix_tokens = prefix_tokens
        self.told = grid
        self.pictures = pictures
        self._words: set[int] = set()
        self._forms: dict[tuple[int, ...], Literal["first", "last"]] = {}

    def find(self, feature: Tensor, examples: int, module: nn.Module | None = None) -> MapLayout | None:
        """The layout of a feature, or ``None`` if it has no spatial axes, no real values or other rows.

        Args:
            feature: Output of a module, or an input that an earlier one put out.
            examples: Number of examples B of the batch.
            module: The module that put it out; ``None`` for an input.
        """
        if not feature.is_floating_point() or feature.ndim not in (3, 4):
            return None
        if feature.ndim == 4 and isinstance(module, nn.Conv2d):
            self.pictures = True
        if feature.ndim == 3 and isinstance(module, nn.Embedding) and len(feature) == examples:
            self._words.add(feature.shape[1])  # a sequence of words beside the pictures, and all made of it
        if feature.ndim == 3 and isinstance(module, nn.Conv1d):
            return None
        if not self.pictures and (self.told is None or feature.ndim == 4):
            return None
        if feature.ndim == 3:
            return self._sequence(feature, examples)
        if len(feature) != examples:
            return None
        shape = tuple(feature.shape[1:])
        # What a module says of its axes holds for later features of that shape, whoever puts them out.
        form = _told_by_module(feature, module) or self._forms.get(shape) or _guess(shape)
        self._forms[shape] = form
        height, width = shape[1:] if form == "first" else shape[:2]
        return MapLayout(form, height, width) if min(height, width) > 1 else None

    def learn(self, feature: Tensor, form: Literal["first", "last"]) -> None:
        """Take note that 4-D features of this shape have their channels first or last."""
        self._forms[tuple(feature.shape[1:])] = form

    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths of the 4-D features met so far, the latest first."""
        found = [s[1:] if form == "first" else s[:2] for s, form in self._forms.items()]
        return [(size[0], size[1]) for size in reversed(found)]

    def grid(self, tokens: int) -> tuple[int, int, int] | None:
        """Prefix, height and width of a sequence of so many tokens; ``None`` if they are no grid."""
        given = self.prefix_tokens
        prefixes = range(_MOST_PREFIX_TOKENS + 1) if given is None else (given,)
        if self.told is not None:
            height, width = self.told
            prefix = tokens - height * width
            return (prefix, height, width) if prefix in prefixes else None
        if not self.pictures or tokens in self._words:
            return None
        for prefix in prefixes:
            for height, width in self.sizes():
                if height != width and min(height, width) > 1 and height * width == tokens - prefix:
                    return prefix, height, width
        for prefix in prefixes:
            side = isqrt(max(tokens - prefix, 0))
            if side > 1 and side * side == tokens - prefix:
                return prefix, side, side
        return None

    def _sequence(self, feature: Tensor, examples: int) -> MapLayout | None:
        tokens = feature.shape[1]
        if len(feature) != examples:
            # More rows than examples: windows cut from each example, taken to be square and as many along
            # both axes.
            windows, rest = divmod(len(feature), examples)
            side, n = isqrt(tokens), isqrt(windows)
            square = (
                self.told is None
                and tokens not in self._words
                and rest == 0
                and n > 1
                and n * n == windows
                and side > 1
                and side * side == tokens
            )
            return MapLayout("windows", n * side, n * side, windows=n) if square else None
        grid = self.grid(tokens)
        return None if grid is None else MapLayout("tokens", grid[1], grid[2], grid[0])


def _told_by_module(feature: Tensor, module: nn.Module | None) -> Literal["first", "last"] | None:
    """What the module that put a 4-D feature out says of its axes."""
    if isinstance(module, _ConvNd | _BatchNorm | nn.GroupNorm):
        return "first"
    if isinstance(module, nn.Linear):
        return "last"
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) == 1:
        # LayerNorm2d of torchvision and timm takes maps with their channels first, and gives such.
        return "first" if "2d" in type(module).__name__.lower() else "last"
    order = getattr(module, "dims", None)
    # That of torchvision, by its name: the library need not be installed.
    if type(module).__name__ == "Permute" and isinstance(order, list | tuple):
        moves: dict[tuple[int, ...], Literal["first", "last"]] = {(0, 2, 3, 1): "last", (0, 3, 1, 2): "first"}
        return moves.get(tuple(order))
    return None


def _guess(shape: tuple[int, ...]) -> Literal["first", "last"]:
    """Of a shape not seen before: the two equal sides are the spatial ones, channels first in doubt."""
    return "last" if shape[0] == shape[1] != shape[2] else "first"

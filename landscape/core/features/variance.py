"""Variances of features: over space within an image, and over images at a place."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor, nn

from landscape.core.features.collector import Collector, Feature
from landscape.core.features.fourier import at_least_single
from landscape.core.features.units import Selection, Unit
from landscape.core.linalg.reductions import norms
from landscape.core.stats.moments import Moments
from landscape.errors import InputError

__all__ = ["SampleVariance", "UnitVariance", "VarianceCollector"]


class SampleVariance:
    """Variance over samples at each entry of a feature, averaged over the entries.

    Keeps two values per entry and one sum, where the features are: memory does not grow with the data, and no
    device is waited for.
    """

    def __init__(self) -> None:
        self.count = 0
        self._near: Tensor | None = None  # about the mean, in the features' own precision
        self._mean: Tensor | None = None  # from there, in float64
        self._squares: Tensor | None = None

    def add(self, feature: Tensor) -> None:
        """Add samples (B, ...)."""
        # Taken from about the mean in the feature's own precision, which is fast and leaves numbers of the
        # size of the spread: a mean far above it costs no digits. The rest is put right in float64.
        n, near = len(feature), feature.mean(0) if self._near is None else self._near
        moved = feature - near
        mean = moved.mean(0).double()
        squares = _sum_of_squares(moved) - n * mean.square().sum()
        if self._mean is None or self._squares is None:
            self.count, self._near, self._mean, self._squares = n, near, mean, squares
            return
        total, step = self.count + n, mean - self._mean
        # Sums of squares of two sets about their own means, merged (Chan, Golub & LeVeque 1983).
        self._squares += squares + step.square().sum() * (self.count * n / total)
        self._mean += step * (n / total)
        self.count = total

    @property
    def value(self) -> float:
        """Unbiased variance, averaged; NaN for fewer than two samples."""
        if self._mean is None or self._squares is None or self.count < 2:
            return float("nan")
        return float(self._squares) / (self.count - 1) / self._mean.numel()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample."""
        return () if self._mean is None else tuple(self._mean.shape)


@dataclass
class UnitVariance:
    """Variances of one unit's output.

    Attributes:
        unit: The unit.
        by_image: Variance over space of each image, averaged over channels, as they come and where the
            features are; ``None`` without maps.
        filled: Number of images that it is there for.
        samples: Variance over samples.
    """

    unit: Unit
    by_image: Tensor | None = None
    filled: int = 0
    samples: SampleVariance = field(default_factory=SampleVariance)

    def append(self, variances: Tensor, images: int) -> None:
        """Add the variances over space of a batch (B,), of so many images in all."""
        if self.by_image is None:  # at once: small tensors between large ones that are freed leave holes
            self.by_image = variances.new_full((images,), torch.nan)
        self.by_image[self.filled : self.filled + len(variances)] = variances
        self.filled += len(variances)

    @property
    def space(self) -> Moments:
        """Variance over space: moments over images, empty without maps."""
        moments = Moments()
        if self.by_image is not None:
            moments.add(self.by_image[: self.filled].cpu().numpy())
        return moments


class VarianceCollector(Collector):
    """Variances of the output of every unit that has a row per example.

    Args:
        selection: The units to look at.
        prefix_tokens: Tokens before the grid; they are left out.
        grid: Its height and width, if told.
        images: At most so many images are looked at.
    """

    def __init__(
        self,
        selection: Selection,
        prefix_tokens: int | None,
        images: int | None = None,
        *,
        grid: tuple[int, int] | None = None,
    ) -> None:
        self.selection = selection
        self.images = images
        self.prefix_tokens, self.grid = prefix_tokens, grid
        self._units: dict[str, UnitVariance] = {}

    def receive(
        self, name: str, unit: Unit, module: nn.Module | None, inputs: Feature | None, output: Feature
    ) -> None:
        """Add an output."""
        axes: tuple[int, ...] = ()
        if output.layout is not None:
            feature, axes, means = _as_it_lies(output)
        elif output.tensor.is_floating_point() and len(output.tensor) == output.examples:
            feature = at_least_single(output.tensor)
        else:
            return
        known = self._units.setdefault(name, UnitVariance(unit))
        if known.samples.count and known.samples.shape != tuple(feature.shape[1:]):
            raise InputError(
                f"unit '{name}' gives features of shape {known.samples.shape} and {tuple(feature.shape[1:])}"
                " per example; give inputs of one size."
            )
        known.samples.add(feature)
        if axes:
            known.append(_spatial_variance(feature, axes, means), self.examples)

    def units(self) -> dict[str, UnitVariance]:
        """Units by name in firing order that fired for every example."""
        return {n: u for n, u in self._units.items() if u.samples.count == self.examples}


def _as_it_lies(output: Feature) -> tuple[Tensor, tuple[int, ...], Tensor]:
    """A feature with its axes in the order in memory, which is fast; which are space; its means over them."""
    layout, tensor = output.layout, at_least_single(output.tensor)
    if layout is not None and layout.form == "tokens":
        grid = tensor[:, layout.prefix :]
        return grid, (1,), grid.mean(1, keepdim=True)
    if layout is not None and layout.form == "last":
        return tensor, (1, 2), tensor.mean((1, 2), keepdim=True)
    return output.maps(), (2, 3), output.means()


def _spatial_variance(feature: Tensor, axes: tuple[int, ...], means: Tensor) -> Tensor:
    """Unbiased variance over the axes of space, averaged over channels: (B,), float64.

    `torch.var` over two axes takes longer than the convolution that made the maps.
    """
    centered = feature - means
    # Means are those of each channel, and the sum runs over channels too: the average of their variances.
    squares = norms(centered.flatten(1)).double().square()
    pixels = prod(feature.shape[axis] for axis in axes)
    variance: Tensor = squares / (feature[0].numel() / pixels * (pixels - 1))
    return variance


def _sum_of_squares(rows: Tensor) -> Tensor:
    """Σ x² of rows (B, ...), summed over rows in float64."""
    return norms(rows.flatten(1)).double().square().sum()

"""Variances of features: over space within an image, and over images at a place."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from landscape.core.features.collector import Collector, Feature, squares_of
from landscape.core.features.fourier import at_least_single
from landscape.core.features.map_layout import MapLayout
from landscape.core.features.units import Selection, Unit
from landscape.core.stats.moments import Moments
from landscape.errors import InputError

__all__ = ["SampleVariance", "UnitVariance", "VarianceCollector"]


class SampleVariance:
    """Variance over samples at each entry of a feature, averaged over the entries.

    Keeps two sums, one of them by entry, where the features are: memory does not grow with the data, and no
    device is waited for.
    """

    def __init__(self) -> None:
        self.count = 0
        self._near: Tensor | None = None  # about the mean, in the features' own precision
        self._sum: Tensor | None = None  # of distances from there, in float64
        self._squares: Tensor | None = None  # likewise, over all entries

    def add(self, feature: Tensor) -> None:
        """Add samples (B, ...)."""
        # Taken from about the mean in the feature's own precision, which is fast and leaves numbers of the
        # size of the spread: a mean far above it costs no digits. The rest is put right in float64.
        if self._near is None:
            self._near = feature.mean(0)
            self._sum = torch.zeros_like(self._near, dtype=torch.float64)
            self._squares = self._sum.new_zeros(())
        assert self._sum is not None
        assert self._squares is not None
        moved = feature - self._near
        self._sum += moved.sum(0)
        self._squares += squares_of(moved).sum()
        self.count += len(feature)

    @property
    def value(self) -> float:
        """Unbiased variance, averaged; NaN for fewer than two samples."""
        if self._sum is None or self._squares is None or self.count < 2:
            return float("nan")
        squares = float(self._squares - self._sum.square().sum() / self.count)
        return squares / (self.count - 1) / self._sum.numel()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample."""
        return () if self._near is None else tuple(self._near.shape)


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

    squares = True

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
        layout, squares = output.layout, None
        if layout is not None:
            feature, squares = _as_it_lies(output, layout)
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
        if layout is not None and squares is not None:
            # Unbiased, of each channel about its own mean; the sum over channels is made their average.
            pixels = layout.height * layout.width
            known.append(squares / (output.channels * (pixels - 1)), self.examples)

    def units(self) -> dict[str, UnitVariance]:
        """Units by name in firing order that fired for every example."""
        return {n: u for n, u in self._units.items() if u.samples.count == self.examples}


def _as_it_lies(output: Feature, layout: MapLayout) -> tuple[Tensor, Tensor]:
    """Maps with their axes in the order in memory, and Σ (x − mean over space)² of each image, (B,).

    `torch.var` over two axes takes longer than the convolution that made the maps.
    """
    if layout.form in ("first", "windows"):
        return output.maps(), output.squares()
    tensor = at_least_single(output.tensor)
    if layout.form == "tokens":
        maps, space = tensor[:, layout.prefix :], [1]
    else:
        maps, space = tensor, [1, 2]
    return maps, squares_of(maps - maps.mean(space, keepdim=True))

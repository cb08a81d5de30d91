"""Variances of features: over space within an image, and over images at a place."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

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

    Keeps one mean per entry and one sum, so memory does not grow with the data.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Tensor | None = None
        self._squares = 0.0

    def add(self, feature: Tensor) -> None:
        """Add samples (B, ...)."""
        # Centred in the feature's own precision, which is fast; what that leaves is put right in float64.
        n, rough = len(feature), feature.mean(0)
        centered = feature - rough
        rest = centered.mean(0).double()
        mean = rough.double() + rest
        squares = _sum_of_squares(centered) - n * float(rest.square().sum())
        if self._mean is None:
            self.count, self._mean, self._squares = n, mean, squares
            return
        total, step = self.count + n, mean - self._mean
        # Sums of squares of two sets about their own means, merged (Chan, Golub & LeVeque 1983).
        self._squares += squares + float(step.square().sum()) * self.count * n / total
        self._mean += step * (n / total)
        self.count = total

    @property
    def value(self) -> float:
        """Unbiased variance, averaged; NaN for fewer than two samples."""
        if self._mean is None or self.count < 2:
            return float("nan")
        return self._squares / (self.count - 1) / self._mean.numel()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a sample."""
        return () if self._mean is None else tuple(self._mean.shape)


@dataclass
class UnitVariance:
    """Variances of one unit's output.

    Attributes:
        unit: The unit.
        space: Variance over space, averaged over channels; moments over images, empty without maps.
        samples: Variance over samples.
    """

    unit: Unit
    space: Moments = field(default_factory=Moments)
    samples: SampleVariance = field(default_factory=SampleVariance)


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
            known.space.add(_spatial_variance(feature, axes, means).cpu().numpy())

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


def _sum_of_squares(rows: Tensor) -> float:
    """Σ x² of rows (B, ...), summed over rows in float64."""
    return float(norms(rows.flatten(1)).double().square().sum())

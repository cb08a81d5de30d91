"""Collectors that reduce maps to rows per image: spectra and variances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.features.collector import Collector, Feature
from landscape.core.features.fourier import RadialBins, log_amplitude_diagonal, power_statistics
from landscape.core.features.units import Selection, Unit
from landscape.errors import InputError

__all__ = ["LayerRows", "SpectraCollector", "check_shape", "complete"]


@dataclass
class LayerRows:
    """Rows per image of one unit.

    Attributes:
        unit: The unit.
        shape: Channels, height, width.
        counts: Modes per bin, (bins,).
        radii: Mean radial frequency per bin, (bins,).
        order: Numbers in the data of the images that there will be rows of, as they come.
        filled: Number of rows that there are.
        table: All rows by quantity, as they come, where the features are: a device is not waited for. They
            are made at once: small tensors kept from every batch would lie between the large ones that are
            freed, and memory would grow.
    """

    unit: Unit
    shape: tuple[int, int, int]
    counts: Any
    radii: Any
    order: Tensor
    filled: int = 0
    table: dict[str, Tensor] = field(default_factory=dict)

    def append(self, **values: Tensor) -> None:
        """Add the rows of a batch."""
        start = self.filled
        for key, value in values.items():
            if key not in self.table:
                size = len(self.order), *value.shape[1:]
                self.table[key] = value.new_full(size, torch.nan, dtype=torch.float64)
            self.filled = start + len(value)
            self.table[key][start : self.filled] = value

    def rows(self) -> dict[str, Any]:
        """All rows by quantity, float64 arrays with images first, in the order of the data."""
        place = self.order.argsort()
        return {key: rows.cpu()[place].numpy() for key, rows in self.table.items()}


def check_shape(name: str, before: tuple[int, ...], now: tuple[int, ...]) -> None:
    """Raise if a layer's maps change their size between batches."""
    if before != now:
        sizes = [f"{c}, {h} × {w}" for c, h, w in (before, now)]
        raise InputError(
            f"layer '{name}' gives maps of {sizes[0]} and of {sizes[1]} (channels, height × width), whose"
            " modes differ; give images of one size."
        )


class SpectraCollector(Collector):
    """Radial power and log amplitude of every output that holds maps.

    Args:
        selection: The units to look at.
        bins: Number of radial bins.
        prefix_tokens: Tokens before the grid.
        grid: Its height and width, if told.
        images: At most so many images are looked at.
    """

    def __init__(
        self,
        selection: Selection,
        bins: int,
        prefix_tokens: int | None,
        images: int | None = None,
        *,
        grid: tuple[int, int] | None = None,
    ) -> None:
        self.selection = selection
        self.images = images
        self.bins = RadialBins(bins)
        self.prefix_tokens, self.grid = prefix_tokens, grid
        self._layers: dict[str, LayerRows] = {}

    def receive(
        self, name: str, unit: Unit, module: nn.Module | None, inputs: Feature | None, output: Feature
    ) -> None:
        """Reduce an output to rows."""
        if output.layout is None:
            return
        modes = output.spectrum()
        shape = (output.channels, output.layout.height, output.layout.width)
        stats = power_statistics(output.power(), shape[2], self.bins)
        if name not in self._layers:
            facts = stats.counts.cpu().numpy(), stats.radii.cpu().numpy()
            self._layers[name] = LayerRows(unit, shape, *facts, self.order)
        layer = self._layers[name]
        check_shape(name, layer.shape, shape)
        # The published diagonal runs through square maps only.
        if shape[1] == shape[2]:
            diagonal = log_amplitude_diagonal(modes, output.means().flatten(1) * (shape[1] * shape[2]))
        else:
            diagonal = stats.power.new_full((len(modes), 1), torch.nan)
        layer.append(
            power=stats.power,
            ac=stats.ac_power,
            high=stats.high_power,
            low=stats.low_power,
            diagonal=diagonal,
        )

    def layers(self) -> dict[str, LayerRows]:
        """Layers by name in firing order, with one row for each example."""
        return complete(self._layers, self.examples)


def complete(layers: Mapping[str, LayerRows], examples: int) -> dict[str, LayerRows]:
    """The layers that fired for every example."""
    return {name: layer for name, layer in layers.items() if layer.filled == examples}

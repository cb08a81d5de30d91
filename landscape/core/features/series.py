"""Series: features (B, C, T) along time, as of audio and sensors, and their spectra in one dimension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape.core.features.collector import Collector, Feature
from landscape.core.features.fourier import EDGE, LOW_BAND, at_least_single
from landscape.core.features.units import Selection, Unit
from landscape.errors import InputError

__all__ = ["FrequencyBins", "SeriesCollector", "SeriesRows", "series_power"]

Form = Literal["first", "last"]
_BY_CHANNEL = (nn.Conv1d, nn.ConvTranspose1d, _BatchNorm, nn.GroupNorm, nn.AvgPool1d, nn.MaxPool1d)


@dataclass(frozen=True)
class FrequencyBins:
    """Equal bins of frequency from 0 to 0.5 cycles/sample; the mean belongs to none.

    Attributes:
        number: Number of bins.
    """

    number: int

    @property
    def centers(self) -> Tensor:
        """Bin centres (bins,) in cycles/sample, float64."""
        return (torch.arange(self.number, dtype=torch.float64) + 0.5) * (0.5 / self.number)

    @lru_cache(maxsize=64)  # noqa: B019 - bins are a value: one per number of bins
    def averages(self, length: int) -> tuple[Tensor, Tensor]:
        """Shares (T//2 + 1, bins + 3) that average power, and modes of the full transform per bin (bins,).

        The last three columns are all modes but the mean, the high band and the low band; empty bins are NaN.
        """
        f = torch.fft.rfftfreq(length, dtype=torch.float64)
        count = torch.full_like(f, 2.0)  # `rfft` leaves out the modes that mirror these
        count[0] = 1.0
        if length % 2 == 0:
            count[-1] = 1.0
        index = (f * (self.number / 0.5) - EDGE).ceil().long().sub(1).clamp(0, self.number - 1)
        index[0] = self.number  # the mean: no bin
        bins = nn.functional.one_hot(index, self.number + 1)[:, :-1].T
        bands = torch.stack([f > 0, f > LOW_BAND + EDGE, (f > 0) & (f <= LOW_BAND + EDGE)])
        weights = torch.cat([bins, bands]) * count
        return (weights / weights.sum(1, keepdim=True)).T.contiguous(), weights[: self.number].sum(1)


def series_power(series: Tensor) -> Tensor:
    """Power of each mode, averaged over channels, (B, T//2 + 1) in float64, of series (B, C, T).

    The transform is orthonormal, and the mean over time is taken off first: a large constant would cost the
    other modes their precision.
    """
    series = at_least_single(series)
    modes = torch.fft.rfft(series - series.mean(-1, keepdim=True), norm="ortho")
    return torch.view_as_real(modes).square().mean(1).sum(-1, dtype=torch.float64)


@dataclass
class SeriesRows:
    """Rows per example of one unit.

    Attributes:
        unit: The unit.
        channels: Its channels.
        length: Samples T.
        power: Mean power per bin, then over all modes, the high and the low band, (examples, bins + 3).
        filled: Number of rows that there are.
    """

    unit: Unit
    channels: int
    length: int
    power: Tensor
    filled: int = 0


@dataclass
class _Forms:
    """What is known of where channels are, by the shape of a feature without its batch."""

    channels_last: bool
    known: dict[tuple[int, ...], Form] = field(default_factory=dict)
    begun: bool = False

    def find(self, feature: Tensor, examples: int, module: nn.Module | None) -> Form | None:
        """Where a feature has its channels; ``None`` if it is no series."""
        if feature.ndim != 3 or not feature.is_floating_point() or len(feature) != examples:
            return None
        shape = tuple(feature.shape[1:])
        if isinstance(module, _BY_CHANNEL):
            self.begun = True
            self.known[shape] = "first"
        if not self.begun:  # words come of an embedding, and are no samples of anything
            return None
        form = self.known.get(shape)
        if form is None and isinstance(module, nn.Linear | nn.LayerNorm):
            form = "last"
        if form is None and self.known.get(shape[::-1]) == "first" and shape[0] != shape[1]:
            form = "last"  # transposed for layers that take channels last
        form = form or ("last" if self.channels_last else "first")
        self.known[shape] = form
        return form


class SeriesCollector(Collector):
    """The spectrum along time of every output that is a series.

    Series are what comes of an input (B, C, T) of real numbers, and of what a 1-D convolution puts out;
    nothing else of three axes is, whatever its size.

    Args:
        selection: The units to look at.
        bins: Number of bins of frequency.
        images: At most so many examples are looked at.
        channels_last: Whether inputs are (B, T, C).
    """

    def __init__(
        self, selection: Selection, bins: int, images: int | None = None, *, channels_last: bool = False
    ) -> None:
        self.selection = selection
        self.images = images
        self.bins = FrequencyBins(bins)
        self._forms = _Forms(channels_last)
        self._layers: dict[str, SeriesRows] = {}

    def receive(
        self, name: str, unit: Unit, module: nn.Module | None, inputs: Feature | None, output: Feature
    ) -> None:
        """Reduce an output to rows."""
        if isinstance(module, nn.Embedding):
            self._forms.known.setdefault(tuple(output.tensor.shape[1:]), "last")
            return
        self._forms.begun = self._forms.begun or self.series
        form = self._forms.find(output.tensor, output.examples, module)
        if form is None:
            return
        series = output.tensor if form == "first" else output.tensor.transpose(1, 2)
        channels, length = series.shape[1:]
        if length < 2:
            return
        if name not in self._layers:
            table = torch.full((self.examples, self.bins.number + 3), torch.nan, dtype=torch.float64)
            self._layers[name] = SeriesRows(unit, channels, length, table)
        layer = self._layers[name]
        if (layer.channels, layer.length) != (channels, length):
            raise InputError(
                f"layer '{name}' gives series of {layer.length} and of {length} samples, whose modes differ;"
                " give series of one length."
            )
        shares = self.bins.averages(length)[0]
        rows = series_power(series) @ shares.to(series.device)
        layer.power[layer.filled : layer.filled + len(rows)] = rows.cpu()
        layer.filled += len(rows)

    def layers(self) -> Mapping[str, SeriesRows]:
        """Layers by name in firing order, with one row for each example, in the order of the data."""
        return {name: layer for name, layer in self._layers.items() if layer.filled == self.examples}

    def rows(self, layer: SeriesRows) -> Any:
        """Its rows in the order of the data, (examples, bins + 3)."""
        return layer.power[self.order.argsort()].numpy()

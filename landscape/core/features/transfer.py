"""Transfer functions: what a unit does to the spatial frequencies of its input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.core.features.collector import Collector, Feature
from landscape.core.features.fourier import (
    LOW_BAND,
    RadialBins,
    at_least_single,
    mean_power,
    mode_multiplicity,
    radial_frequency,
    spectrum,
)
from landscape.core.features.hooks import first_tensor
from landscape.core.features.spectra import LayerRows, check_shape, complete
from landscape.core.features.units import Selection, Unit

__all__ = ["TransferCollector", "TransferRows", "low_pass", "low_pass_box"]

_SLACK = 1e-9  # rounding must not decide on which side of a band's edge a mode lies


@dataclass
class _Coherence:
    """Sums over images per channel and mode, for some of the channels: (C, modes), float64."""

    cross: Tensor
    inputs: Tensor
    outputs: Tensor


@dataclass
class TransferRows(LayerRows):
    """Rows per image of a unit from input to output.

    ``inputs`` and ``outputs`` are mean squared amplitudes per bin, ``in_low`` ... those of the bands.

    Attributes:
        size_in: Height and width of the input.
        coherence: Sums for the coherence; ``None`` if input and output differ in shape.
    """

    size_in: tuple[int, int] = (0, 0)
    coherence: _Coherence | None = None

    def coherent_share(self, bins: RadialBins) -> Any:
        """Share of the output's power per bin that a linear filter of the same channel explains, (bins,)."""
        found = np.full(bins.number, np.nan)
        if self.coherence is not None:
            sums = _Coherence(
                *(x.cpu() for x in (self.coherence.cross, self.coherence.inputs, self.coherence.outputs))
            )
            # |Σ x̄y|²/Σ|x|² is the power of y along x per channel and mode: what the best linear filter gives.
            explained = (sums.cross.abs().square() / sums.inputs).nan_to_num(0.0).sum(0)
            weights = bins.weights(self.shape[1], self.shape[2])
            found = (weights @ explained / (weights @ sums.outputs.sum(0))).numpy()
        return found


class TransferCollector(Collector):
    """Power per radial frequency of inputs and outputs, on the input's modes.

    Amplitudes are compared mode by mode: a mode of the output is held against the mode of the input that
    runs through as many periods over the image, so that a unit that strides is compared on the modes
    that its output can hold.

    Args:
        selection: The units to look at.
        bins: Number of radial bins, in cycles per pixel of the input.
        prefix_tokens: Tokens before the grid.
        grid: Its height and width, if told.
        coherence_channels: At most so many channels, evenly spaced, enter the coherence.
        images: At most so many images are looked at.
    """

    inputs = True

    def __init__(
        self,
        selection: Selection,
        bins: int,
        prefix_tokens: int | None,
        coherence_channels: int,
        images: int | None = None,
        *,
        grid: tuple[int, int] | None = None,
    ) -> None:
        self.selection = selection
        self.bins = RadialBins(bins)
        self.prefix_tokens, self.grid = prefix_tokens, grid
        self.coherence_channels = coherence_channels
        self.images = images
        self._layers: dict[str, TransferRows] = {}

    def enter(self, unit: Unit, inputs: Feature) -> None:
        """Transform the input before the unit may overwrite it."""
        if inputs.layout is not None:
            inputs.power()

    def receive(
        self, name: str, unit: Unit, module: nn.Module | None, inputs: Feature | None, output: Feature
    ) -> None:
        """Reduce input and output to rows."""
        if inputs is None or inputs.layout is None or output.layout is None:
            return
        size = inputs.layout.height, inputs.layout.width
        height, width = output.layout.height, output.layout.width
        if height > size[0] or width > size[1]:  # an upsampling has modes that its input lacks
            return
        shape = (output.channels, height, width)
        grid = _grid(size, (height, width), self.bins)
        if name not in self._layers:
            self._layers[name] = TransferRows(unit, shape, *grid.facts(), self.order, size_in=size)
        layer = self._layers[name]
        check_shape(name, layer.shape, shape)
        check_shape(name, (shape[0], *layer.size_in), (shape[0], *size))
        before, in_low, in_high, _ = grid.means(grid.input_power(inputs.power()))
        after, out_low, out_high, energy = grid.means(grid.output_power(output.power()))
        rows = {"inputs": before, "outputs": after, "in_low": in_low, "in_high": in_high}
        rows |= {"out_low": out_low, "out_high": out_high}
        if unit.kind == "downsampling" and inputs.call is not None and (height, width) != size:
            folded = self._folded(inputs, output)
            if folded is not None:
                alias, _, _, alias_energy = grid.means(grid.output_power(folded))
                rows |= {"alias": alias, "alias_energy": alias_energy, "energy": energy}
        layer.append(**rows)
        if inputs.channels == output.channels and size == (height, width):
            layer.coherence = self._coherence(layer.coherence, inputs, output)

    def _folded(self, inputs: Feature, output: Feature) -> Tensor | None:
        """Mean power of what the output owes to input frequencies that the output cannot hold."""
        call, layout, kept = inputs.call, inputs.layout, output.layout
        assert call is not None
        assert call.tensor is not None
        assert layout is not None
        assert kept is not None
        given, maps = inputs.tensor, layout.to_maps(inputs.tensor)
        overwritten, others = call.overwritten
        partial = call.has_more and len(given) < len(call.tensor)
        if others or (overwritten and (layout.prefix or partial)):
            return None  # what the unit was given is gone
        if overwritten:  # of its input, the transform is there still
            maps = torch.fft.irfft2(inputs.spectrum(), s=maps.shape[-2:], norm="ortho") + inputs.means()
            maps = maps.to(given.dtype)
        elif call.has_more:  # whatever else is given goes with all examples of the batch
            given, maps = call.tensor, layout.to_maps(call.tensor)
        cutoff = kept.height / layout.height, kept.width / layout.width
        # What the unit makes of an input without the frequencies above the output's Nyquist frequency cannot
        # be aliased; the difference from its output is what they contribute.
        low = first_tensor(call.again(layout.from_maps(low_pass_box(maps, cutoff), given)))
        if low is None or low.shape[1:] != output.tensor.shape[1:] or len(low) < len(output.tensor):
            return None
        return mean_power(spectrum(output.maps() - kept.to_maps(low[: len(output.tensor)])))

    def _coherence(self, sums: _Coherence | None, inputs: Feature, output: Feature) -> _Coherence:
        step = -(-output.channels // self.coherence_channels)
        x, y = inputs.spectrum()[:, ::step], output.spectrum()[:, ::step]
        cross = (x.conj() * y).sum(0).flatten(1).to(torch.complex128)
        new = _Coherence(cross, inputs.summed_power(step), output.summed_power(step))
        if sums is None:
            return new
        return _Coherence(sums.cross + new.cross, sums.inputs + new.inputs, sums.outputs + new.outputs)

    def layers(self) -> dict[str, TransferRows]:
        """Units by name in firing order, with one row for each example."""
        kept = complete(self._layers, self.examples)
        return {name: layer for name, layer in self._layers.items() if name in kept}


def low_pass(maps: Tensor, cutoff: float) -> Tensor:
    """Maps (B, C, H, W) with all modes at r > ``cutoff`` cycles/pixel taken out."""
    return _filtered(maps, radial_frequency(*maps.shape[-2:]) <= cutoff + _SLACK)


def low_pass_box(maps: Tensor, share: tuple[float, float]) -> Tensor:
    """Maps with all modes at or above ``share`` of the Nyquist frequency of an axis taken out."""
    height, width = maps.shape[-2:]
    fy = torch.fft.fftfreq(height, dtype=torch.float64).abs()[:, None]
    fx = torch.fft.rfftfreq(width, dtype=torch.float64).abs()[None]
    return _filtered(maps, (fy < share[0] / 2 - _SLACK) & (fx < share[1] / 2 - _SLACK))


def _filtered(maps: Tensor, keep: Tensor) -> Tensor:
    """Maps with the modes of ``rfft2`` where ``keep`` is false taken out."""
    modes = torch.fft.rfft2(at_least_single(maps)) * keep.to(maps.device)
    passed: Tensor = torch.fft.irfft2(modes, s=maps.shape[-2:])
    return passed.to(maps.dtype)


@lru_cache(maxsize=64)
def _grid(size_in: tuple[int, int], size_out: tuple[int, int], bins: RadialBins) -> _Grid:
    return _Grid(size_in, size_out, bins)


class _Grid:
    """The modes of an output, and the same modes of its input, with radii in cycles/pixel of the input.

    Where the output is smaller, modes at its Nyquist frequency are left out: what lies there is half
    folded.
    """

    def __init__(self, size_in: tuple[int, int], size_out: tuple[int, int], bins: RadialBins) -> None:
        self.size_in, self.size_out = size_in, size_out
        height, width = size_out
        ky = torch.fft.fftfreq(height, 1 / height, dtype=torch.float64).round()
        kx = torch.arange(width // 2 + 1, dtype=torch.float64)
        # A mode of k periods over the image stands in row k of either transform, −k in row H − k.
        self.rows = (ky.long() % size_in[0])[:, None]
        self.columns = kx.long()[None]
        r = torch.hypot(ky[:, None] / size_in[0], kx[None] / size_in[1])
        count = mode_multiplicity(height, width)
        count[0, 0] = 0.0  # the mean is no frequency
        if height < size_in[0] and height % 2 == 0:
            count[height // 2] = 0.0
        if width < size_in[1] and width % 2 == 0:
            count[:, width // 2] = 0.0
        self.r, self.count = r.reshape(-1), count.reshape(-1)
        index = (self.r / bins.step - _SLACK).ceil().long().sub(1).clamp(0, bins.number - 1)
        weights = torch.nn.functional.one_hot(index, bins.number) * self.count[:, None]
        self.counts = weights.sum(0)
        self.radii = self.r @ weights / self.counts
        low = self.count * ((self.r > 0) & (self.r <= LOW_BAND + _SLACK))
        high = self.count * ((self.r > LOW_BAND + _SLACK) & (self.r <= 0.5 + _SLACK))
        every = torch.cat([weights, torch.stack([low, high, self.count], 1)], 1)
        self.shares = every / every.sum(0)  # 0/0 = NaN for empty bins and bands

    def means(self, power: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Power (B, modes) averaged over each bin (B, bins), the low and the high band, and all modes."""
        found = power @ self.shares.to(power.device)
        return found[:, :-3], found[:, -3], found[:, -2], found[:, -1]

    def facts(self) -> tuple[Any, Any]:
        """Modes per bin and mean radius per bin."""
        return self.counts.numpy(), self.radii.numpy()

    def input_power(self, power: Tensor) -> Tensor:
        """An input's mean squared amplitude at the output's modes, (B, modes), from its mean power."""
        amplitude = self.amplitude(power, self.size_in)
        if self.size_in != self.size_out:
            amplitude = amplitude[..., self.rows, self.columns]
        return amplitude.flatten(1)

    def output_power(self, power: Tensor) -> Tensor:
        """An output's mean squared amplitude, (B, modes), from its mean power."""
        return self.amplitude(power, self.size_out).flatten(1)

    @staticmethod
    def amplitude(power: Tensor, size: tuple[int, int]) -> Tensor:
        """Mean squared amplitude of waves whose orthonormal transform has this power."""
        return power / (size[0] * size[1])

"""Collector: the interface of what reduces the features of a network during a forward pass.

A collector says which units it asks for and gets each one's input and output as it fires; whatever is costly
(the layout of a feature, its Fourier transform) is worked out once per feature and shared between the
collectors of a pass, see `landscape.core.features.collect`. Nothing is kept but what collectors keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from landscape.core.features.calls import ModuleCall
from landscape.core.features.fourier import add_parts, at_least_single, mean_power, transformed
from landscape.core.features.map_layout import MapLayout, MapLayouts
from landscape.core.features.units import Selection, Unit
from landscape.core.linalg.reductions import norms

__all__ = ["Collector", "Feature", "SharedValues", "squares_of"]


@dataclass
class SharedValues:
    """What is worked out once for a tensor, by whichever collector asks first.

    It holds no reference to the tensor, so that memory is freed as the pass goes on.
    """

    layout: MapLayout | None
    keeps_squares: bool = False  # whether a collector will ask for them
    squares: Tensor | None = None
    means: Tensor | None = None
    spectrum: Tensor | None = None
    power: Tensor | None = None
    summed_power: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Feature:
    """An input or output of a unit, to be used during the call of a collector only.

    Attributes:
        tensor: The tensor itself. Reduce or clone it at once: later layers may write to it.
        examples: Examples B in the batch.
        shared: What the collectors of the pass have worked out of it so far.
        call: Of an input, the call of the unit that it is the first input of, with all examples of the batch.
    """

    tensor: Tensor
    examples: int
    shared: SharedValues
    call: ModuleCall | None = None

    @property
    def layout(self) -> MapLayout | None:
        """Where its maps are; ``None`` if it has none."""
        return self.shared.layout

    def maps(self) -> Tensor:
        """The maps (B, C, H, W), in float32 or better."""
        assert self.layout is not None
        return at_least_single(self.layout.to_maps(self.tensor))

    @property
    def channels(self) -> int:
        """Channels of its maps."""
        assert self.layout is not None
        return self.tensor.shape[1 if self.layout.form == "first" else -1]

    def means(self) -> Tensor:
        """Means of the maps over space, (B, C, 1, 1), worked out once."""
        if self.shared.means is None:
            self.shared.means = self.maps().mean((-2, -1), keepdim=True)
        return self.shared.means

    def spectrum(self) -> Tensor:
        """`landscape.core.features.fourier.spectrum` of the maps, worked out once."""
        if self.shared.spectrum is None:
            centred = self.maps() - self.means()
            if self.shared.keeps_squares and centred.is_contiguous():
                self.shared.squares = squares_of(centred)
            self.shared.spectrum = transformed(centred)
        return self.shared.spectrum

    def squares(self) -> Tensor:
        """Σ (x − mean over space)² over channels and space, (B,) in float64, worked out once."""
        if self.shared.squares is None:
            self.shared.squares = squares_of(self.maps() - self.means())
        return self.shared.squares

    def power(self) -> Tensor:
        """`landscape.core.features.fourier.mean_power` of the spectrum, worked out once."""
        if self.shared.power is None:
            self.shared.power = mean_power(self.spectrum())
        return self.shared.power

    def summed_power(self, step: int) -> Tensor:
        """Power summed over examples at each mode of every ``step``-th channel, (C / step, modes) in float64.

        Worked out once.
        """
        found = self.shared.summed_power.get(step)
        if found is None:
            squares = torch.view_as_real(self.spectrum()[:, ::step]).square()
            found = self.shared.summed_power[step] = add_parts(squares.sum(0)).flatten(1)
        return found


def squares_of(rows: Tensor) -> Tensor:
    """Σ x² of each row of (B, ...), (B,) in float64."""
    return norms(rows.flatten(1)).double().square()


class Collector:
    """What looks at units during a pass; a subclass overrides the methods that it needs.

    Attributes:
        selection: The units that it asks for; ``None`` for none.
        prefix_tokens: See `landscape.core.features.map_layout.MapLayouts`.
        grid: Likewise.
        inputs: Whether it asks for inputs too.
        attention: Whether it asks for attention weights.
        squares: Whether it asks for `Feature.squares`, which cost least where maps are transformed anyway.
        images: How many examples it is shown at most, a fair sample; ``None`` for all. See
            `landscape.core.data.subsample.plan_pass`.
        model_class: Class of the model, once a pass has begun.
        series: Whether the model's inputs in this batch are series (B, C, T).
        order: Numbers in the data of the examples that it is shown, as they come, once a pass has begun.
    """

    selection: Selection | None = None
    prefix_tokens: int | None = None
    grid: tuple[int, int] | None = None
    inputs: bool = False
    attention: bool = False
    squares: bool = False
    images: int | None = None
    model_class: str = ""
    series: bool = False
    order: Tensor = torch.empty(0, dtype=torch.long)

    @property
    def examples(self) -> int:
        """Number of examples that it is shown, once a pass has begun."""
        return len(self.order)

    def enter(self, unit: Unit, inputs: Feature) -> None:
        """A selected unit is about to run: use of its input what you need, since it may overwrite it."""

    def receive(
        self, name: str, unit: Unit, module: nn.Module | None, inputs: Feature | None, output: Feature
    ) -> None:
        """A selected unit has run.

        Args:
            name: The unit's name, with ``#1``, ``#2``, ... if it fires again in one pass.
            unit: The unit.
            module: The module; ``None`` for a residual sum.
            inputs: Its input, if ``inputs`` is set and it is one tensor; for a residual sum the operand
                that came first into the enclosing module. Use what `enter` prepared: its tensor may have
                been overwritten.
            output: Its output.
        """

    def receive_attention(
        self, name: str, examples: int, rows: int, weights: Iterator[Tensor], layouts: MapLayouts
    ) -> None:
        """An attention has run in unit ``name``.

        Args:
            name: The unit's name.
            examples: Number of examples that are shown.
            rows: Their rows: one per example, or per window.
            weights: Weights (b, heads, queries, keys) of these rows, in chunks of b.
            layouts: What is known of the grids in this pass.
        """

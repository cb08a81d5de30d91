"""Training under frequency dropout: feature maps are filtered at random behind every convolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import Generator, Tensor, nn
from torch.utils.hooks import RemovableHandle

from landscape.core.problem.batchnorm import recalibrated, running_layers
from landscape.core.problem.problem import Problem
from landscape.errors import InputError, suggest
from landscape.reference.layers.filtering import FilterRanges, FrequencyDropout, draw_filters
from landscape.reference.training.objective import Batch, CrossEntropy, Objective

__all__ = ["FilteredTraining"]

Data = tuple[Tensor, Tensor]
Every = Literal["epoch", "batch"]
AtTest = Literal["recalibrated", "off", "on"]


@dataclass(frozen=True)
class FilteredTraining(Objective):
    """Another objective, while fixed filters drawn at random stand behind every convolution.

    A `landscape.reference.layers.FrequencyDropout` filters what each two-dimensional convolution larger than
    1×1 puts out, before its BatchNorm if it has one. The network itself stays as its builder makes it, and so
    does its state dict. All filters of a draw are of one kind. The published settings are these, "FD-RF", and
    ``ranges=FilterRanges(("gaussian",))``, "FD-GF".

    Attributes:
        objective: What is minimised.
        ranges: Which filters are drawn, and how wide they are.
        every: When they are drawn: for each ``epoch``, as published, or for each ``batch``.
        at_test: What the trained network is. ``recalibrated``: without filters, its BatchNorm statistics
            taken anew over the training data. ``off``: without filters, and with the statistics of filtered
            maps, which fit it badly. ``on``: the filters of the last epoch stay, as published, in the network
            that `train` leaves and judges; the weights that it saves are those of ``off``.

    Raises:
        InputError: If there is no such choice.

    Reference:
        Islam & Glocker (2022), Frequency dropout: feature-level regularization via randomized filtering,
        MCV workshop at ECCV; settings of their code.
    """

    objective: Objective = field(default_factory=CrossEntropy)
    ranges: FilterRanges = field(default_factory=FilterRanges)
    every: Every = "epoch"
    at_test: AtTest = "recalibrated"
    _filters: list[FrequencyDropout] = field(default_factory=list, init=False, repr=False, compare=False)
    _hooks: list[RemovableHandle] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, known in (("every", get_args(Every)), ("at_test", get_args(AtTest))):
            given = getattr(self, name)
            if given not in known:
                raise InputError(f"FilteredTraining has no {name} '{given}'; {suggest(str(given), known)}")

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the filtered network."""
        if self.every == "batch":
            draw_filters(self._filters, self.ranges, generator)
        return self.objective(model, batch, generator)

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Put a filter behind every convolution that is larger than 1×1.

        Raises:
            InputError: If the network has none.
        """
        self._take_out()  # of a training that did not come to its end
        convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
        if not convolutions:
            raise InputError(
                f"FilteredTraining: {type(model).__name__} has no two-dimensional convolution larger than 1×1"
                " to filter."
            )
        for convolution in convolutions:
            layer = FrequencyDropout(convolution.out_channels, eval_filters=self.at_test == "on")
            self._filters.append(layer)
            self._hooks.append(convolution.register_forward_hook(_behind(layer)))
        self.objective.begin(model, data, generator)

    def epoch(self, model: nn.Module, number: int, generator: Generator) -> None:
        """Draw the filters of an epoch.

        They follow from the generator of the epoch alone, so that a training that goes on has the same.
        """
        if self.every == "epoch":
            draw_filters(self._filters, self.ranges, generator)
        self.objective.epoch(model, number, generator)

    def end(self, model: nn.Module, data: Data) -> None:
        """Take the filters out and the statistics anew, unless ``at_test`` says otherwise."""
        if self.at_test != "on":
            self._take_out()
        if self.at_test == "recalibrated":
            _recalibrate(model, data)
        self.objective.end(model, data)

    def state_dict(self) -> dict[str, Any]:
        """That of the objective."""
        return self.objective.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give it back to the objective."""
        self.objective.load_state_dict(state)

    def __getstate__(self) -> dict[str, Any]:
        """The settings alone: filters and hooks belong to a network that another process does not have."""
        return {**self.__dict__, "_filters": [], "_hooks": []}

    def _take_out(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self._filters.clear()


def _behind(layer: FrequencyDropout) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """What a convolution is hooked with, so that a filter in its mode comes behind it."""
    return lambda convolution, _, maps: layer.train(convolution.training)(maps)


def _recalibrate(model: nn.Module, data: Data) -> None:
    """Running statistics of BatchNorm over the training data as the network is now."""
    layers = running_layers(model)
    if not layers:
        return
    inputs, _ = data
    # The loss is of no matter: statistics are those of the forward pass.
    # A last batch of one example might have no statistics, at the very end of a training.
    size = 255 if len(inputs) % 256 == 1 else 256
    problem = Problem(model, lambda outputs, _: outputs.flatten(1).sum(1), (inputs, inputs), batch_size=size)
    with recalibrated(problem):
        for layer, found in zip(layers, running_layers(problem.module), strict=True):
            for name in ("running_mean", "running_var"):
                layer.get_buffer(name).copy_(found.get_buffer(name))

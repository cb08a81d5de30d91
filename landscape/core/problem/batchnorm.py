"""BatchNorm away from the checkpoint: statistics of the batch, or pooled anew over the data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from landscape.batchnorm_policy import BatchNormPolicy, normalise
from landscape.core.problem.passes.pieces import takes_channels_last
from landscape.core.problem.problem import Problem
from landscape.core.stats.moments import merged
from landscape.errors import InputError

__all__ = [
    "ChannelMoments",
    "batch_statistics",
    "channel_moments",
    "policy_in_force",
    "recalibrated",
    "running_layers",
]

_BatchNorm = nn.modules.batchnorm._BatchNorm


def running_layers(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers that keep running statistics."""
    return [p for p in module.modules() if isinstance(p, _BatchNorm) and p.running_mean is not None]


def policy_in_force(
    problem: Problem, asked: BatchNormPolicy | None, *, between_models: bool = True
) -> BatchNormPolicy:
    """Where statistics come from: as asked, or the default for this problem.

    The default is ``batch`` for a problem with ``batchnorm="batch"``, ``recalibrate`` between models, else
    ``checkpoint``. A model without running statistics has nothing to recalibrate or take from a batch, so
    that these are ``checkpoint`` for it.

    Raises:
        InputError: If running statistics are asked for and the problem does not use them.
    """
    asked = normalise(asked)
    if problem.batchnorm == "batch":
        if asked not in (None, "batch"):
            raise InputError(
                f"batchnorm='{asked}' contradicts the problem, which uses batch statistics; make the Problem"
                " with batchnorm='checkpoint'."
            )
        return "batch"
    if asked in ("interpolate", "repair"):  # these change other buffers, or all layers
        return cast(BatchNormPolicy, asked)
    if not running_layers(problem.module):
        return "checkpoint"
    return asked or ("recalibrate" if between_models else "checkpoint")


@contextmanager
def batch_statistics(problem: Problem) -> Iterator[None]:
    """Within it, BatchNorm layers normalise by the batch at hand and write nothing."""
    layers = [part for part in problem.module.modules() if isinstance(part, _BatchNorm)]
    modes = [(part, part.training, part.track_running_stats) for part in layers]
    try:
        for part in layers:
            # Not training alone: torch then would write the batch's moments into the running statistics.
            part.training, part.track_running_stats = True, False
        yield
    finally:
        for part, training, tracks in modes:
            part.training, part.track_running_stats = training, tracks


@contextmanager
def recalibrated(problem: Problem) -> Iterator[None]:
    """Within it, running statistics are those of the problem's data at the present parameters.

    One pass over the data with batch statistics, as in Izmailov et al. (2018), section 3.3, gathers each
    layer's moments; they are pooled over batches, so that batches of unequal size are exact: the variance
    is E[batch variance] + Var[batch mean], each batch weighted by its number of entries, with 1/n and not
    1/(n − 1). As in that paper, what a layer sees was normalised by the batch at hand further down, so that
    the statistics of deeper layers depend a little on how the data is cut into batches. Afterwards the
    former statistics are back, bit for bit.

    Raises:
        InputError: If a layer sees one entry per channel only in some batch.
    """
    layers = running_layers(problem.module)
    kept = [(part.running_mean, part.running_var) for part in layers]
    try:
        for part, moments in _pooled_moments(problem, layers).items():
            # In place of the buffers, not into them: they come back by themselves, bit for bit.
            part.running_mean = moments.mean.to(part.running_mean)
            part.running_var = moments.variance.to(part.running_var)
        yield
    finally:
        for part, (mean, variance) in zip(layers, kept, strict=True):
            part.running_mean, part.running_var = mean, variance


@dataclass
class ChannelMoments:
    """Count, mean and sum of squared deviations by channel (C,), in float64."""

    count: int
    mean: Tensor
    squares: Tensor

    def add(self, other: ChannelMoments) -> None:
        """Merge those of another batch."""
        self.count, self.mean, self.squares = merged(
            (self.count, self.mean, self.squares), (other.count, other.mean, other.squares)
        )

    @property
    def variance(self) -> Tensor:
        """Variance by channel (C,), with 1/n."""
        return self.squares / self.count


def channel_moments(x: Tensor, axis: int = 1) -> ChannelMoments:
    """Moments of a batch ``x`` by channel, the channels along ``axis``."""
    axes = [i for i in range(x.ndim) if i != axis % x.ndim]
    variance, mean = torch.var_mean(x.float() if x.dtype.itemsize < 4 else x, axes, correction=0)
    count = x.numel() // x.shape[axis]
    return ChannelMoments(count, mean.double(), variance.double() * count)


@torch.no_grad()
def _pooled_moments(problem: Problem, layers: list[_BatchNorm]) -> dict[_BatchNorm, ChannelMoments]:
    """Moments of each layer's inputs; a layer that the model never calls has none.

    Each layer takes the moments of the batch anyway, to normalise by them: they are read off its running
    statistics, which a momentum of 1 makes those of the last batch.
    """
    moments: dict[_BatchNorm, ChannelMoments] = {}
    channels_last = takes_channels_last(problem)  # before anybody listens to passes

    def check(part: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        if _values_per_channel(inputs, named) < 2:
            raise InputError(
                "BatchNorm cannot take statistics of a batch of one example; give larger batches."
            )

    def gather(part: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor) -> None:
        assert isinstance(part, _BatchNorm)
        count = _values_per_channel(inputs, named)
        mean, variance = part.running_mean, part.running_var
        assert mean is not None
        assert variance is not None
        # a copy, since the next batch overwrites them
        # The running variance is the unbiased one, so that n − 1 times it is the sum of squares.
        found = ChannelMoments(count, mean.double().clone(), variance.double() * (count - 1))
        if part in moments:
            moments[part].add(found)
        else:
            moments[part] = found

    handles = [part.register_forward_pre_hook(check, with_kwargs=True) for part in layers]
    handles += [part.register_forward_hook(gather, with_kwargs=True) for part in layers]
    try:
        with batch_statistics(problem), _last_batch(layers):
            for batch in problem.batches:
                problem.output(batch.channels_last() if channels_last else batch)
    finally:
        for handle in handles:
            handle.remove()
    return moments


def _values_per_channel(inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> int:
    """Of what a layer is called with, by place or as ``input=``."""
    given = inputs[0] if inputs else named["input"]
    return given.numel() // given.shape[1]


@contextmanager
def _last_batch(layers: list[_BatchNorm]) -> Iterator[None]:
    """Within it, layers in training mode write the moments of each batch to buffers of their own."""
    names = ("track_running_stats", "momentum", "num_batches_tracked", "running_mean", "running_var")
    kept = [{name: getattr(part, name) for name in names} for part in layers]
    try:
        for part in layers:
            # Without a counter: torch would count these batches in the buffer of the model.
            part.track_running_stats, part.momentum, part.num_batches_tracked = True, 1.0, None
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean = torch.zeros_like(part.running_mean)
            part.running_var = torch.zeros_like(part.running_var)
        yield
    finally:
        for part, values in zip(layers, kept, strict=True):
            for name, value in values.items():
                setattr(part, name, value)

"""REPAIR: interpolated networks whose activations keep their scale (Jordan et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.ambient import under_own_context
from landscape.core.problem.batchnorm import ChannelMoments, channel_moments, recalibrated
from landscape.core.problem.problem import Problem

__all__ = ["Goal", "Goals", "goals_between", "output_goals", "repaired"]

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

DEAD = 1e-12
"""A channel whose variance is below this share of its mean square does not vary."""


@dataclass(frozen=True)
class Goal:
    """What the outputs of a layer should have, by channel (C,), in float64."""

    mean: Tensor
    deviation: Tensor


Goals = Mapping[str, Goal]
"""Goals by the name of the layer."""


@under_own_context
@torch.no_grad()
def output_goals(problem: Problem) -> dict[str, Goal]:
    """Means and standard deviations of each linear or convolution layer's outputs over the data.

    The last layer to be called is left out: its outputs are the model's (Jordan et al. 2023, section 3).
    """
    found: dict[str, ChannelMoments] = {}

    def gather(name: str, part: nn.Module, output: Tensor) -> None:
        _merge(found, name, channel_moments(output, _axis(part)))

    with _watching(problem, gather):
        for batch in problem.batches:
            problem.output(batch)
    return {name: Goal(m.mean, m.variance.sqrt()) for name, m in list(found.items())[:-1]}


def goals_between(a: Goals, b: Goals, t: float) -> dict[str, Goal]:
    """(1 − t) of the goals ``a`` and t of ``b`` (Jordan et al. 2023, equations 1 and 2)."""
    return {
        name: Goal(torch.lerp(a[name].mean, g.mean, t), torch.lerp(a[name].deviation, g.deviation, t))
        for name, g in b.items()
        if name in a
    }


@contextmanager
def repaired(problem: Problem, goals: Goals) -> Iterator[None]:
    """Within it, layers' outputs have the goal means and deviations, and BatchNorm is recalibrated.

    One pass over the data, in which every layer is corrected by the moments of the batch at hand and
    BatchNorm normalises by it too, gathers the pooled moments that are used afterwards: those of deeper
    layers depend on how the data is cut into batches, the more the smaller these are. Channels that do not
    vary are shifted, not scaled.
    """
    found: dict[str, ChannelMoments] = {}
    gathering = True

    def correct(name: str, part: nn.Module, output: Tensor) -> Tensor | None:
        if name not in goals:
            return None
        axis = _axis(part)
        if gathering:
            moments = channel_moments(output, axis)
            _merge(found, name, moments)
        else:
            moments = found[name]
        return _corrected(output, moments, goals[name], axis)

    # The hooks first: the pass that recalibrates is the one in which they gather.
    with _watching(problem, correct), recalibrated(problem):
        gathering = False
        yield


def _corrected(output: Tensor, moments: ChannelMoments, goal: Goal, axis: int) -> Tensor:
    varies = moments.variance > DEAD * (moments.variance + moments.mean.square())
    scale = torch.where(varies, goal.deviation / moments.variance.sqrt(), 1.0)
    shape = [1] * output.ndim
    shape[axis] = -1
    # In float64 up to here, since means may be far larger than what is left of their difference.
    shift = goal.mean - scale * moments.mean
    return output * scale.to(output.dtype).view(shape) + shift.to(output.dtype).view(shape)


def _merge(found: dict[str, ChannelMoments], name: str, moments: ChannelMoments) -> None:
    if name in found:
        found[name].add(moments)
    else:
        # A copy: `add` changes it, and the moments of this batch are still needed to correct its outputs.
        found[name] = ChannelMoments(moments.count, moments.mean, moments.squares)


def _axis(part: nn.Module) -> int:
    """Where a layer has its channels: last for linear ones, else second of (B, C, ...)."""
    return -1 if isinstance(part, nn.Linear) else 1


@contextmanager
def _watching(problem: Problem, look: Any) -> Iterator[None]:
    """Within it, ``look(name, module, output)`` sees, and may replace, the output of each layer."""
    handles = [
        part.register_forward_hook(lambda module, inputs, output, name=name: look(name, module, output))
        for name, part in problem.module.named_modules()
        if isinstance(part, _LAYERS)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

"""Which outputs of a model are compared: those that give one row of real numbers per example."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape.core.data.batches import gather
from landscape.core.features.hooks import watch_outputs
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["LayerChoice", "choose_layers", "describe_left_out"]

_TRIED = 3  # examples on which rows are counted, and one fewer
_NAMED = 5


@dataclass(frozen=True)
class LayerChoice:
    """Names of outputs.

    Attributes:
        names: Those to compare, in firing order.
        left_out: Those that match the globs and hold real numbers, but not one row per example: windows,
            tables of positions, what is worked out from parameters alone.
    """

    names: list[str]
    left_out: list[str]


@torch.no_grad()
def choose_layers(problem: Problem, patterns: Iterable[str], most: int) -> LayerChoice:
    """The outputs to compare, in firing order.

    Those count that match the globs and have real numbers, one row per example: as many as examples, on two
    numbers of examples, since a table of three rows looks like three examples. Of more than ``most``, evenly
    spaced ones in firing order are taken, the first and the last among them.

    Raises:
        InputError: If a glob matches no module, or no output counts.
    """
    patterns = list(patterns)
    # Few, unlike the batches, so that a layer cannot have as many rows as a batch by chance.
    most_tried = min(_TRIED, problem.examples)
    found = [_rows(problem, patterns, size) for size in range(most_tried, max(most_tried - 2, 0), -1)]
    names = [name for name in found[0] if all(rows.get(name, False) for rows in found)]
    if not names:
        raise InputError(
            f"no output of {type(problem.module).__name__} matching {', '.join(patterns)} has one row of real"
            " numbers per example; choose other layers."
        )
    left_out = [name for name in found[0] if name not in set(names)]
    if len(names) > most:
        names = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int))]
    return LayerChoice(names, left_out)


def _rows(problem: Problem, patterns: list[str], size: int) -> dict[str, bool]:
    """Outputs of real numbers, by name in firing order, on so many examples: do they have as many rows?"""
    batch = gather(problem.batches, torch.arange(size))
    found: dict[str, bool] = {}

    def receive(name: str, output: Tensor) -> None:
        if output.is_floating_point() and output.ndim >= 2:
            found[name] = len(output) == size

    with watch_outputs(problem.module, receive, patterns):
        problem.output(batch)
    return found


def describe_left_out(left_out: Mapping[str, Sequence[str]]) -> str:
    """A clause that names outputs left out, by model; empty if there are none.

    Example:
        >>> describe_left_out({"a": ["positions"], "b": []})
        'outputs that are not one row per example are left out: a: positions'
    """
    names = [f"{model}: {name}" for model, some in left_out.items() for name in some]
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"outputs that are not one row per example are left out: {', '.join(names[:_NAMED])}{more}"

"""Which outputs of a model are compared: those that give one row of real numbers per example."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape.core.data.batches import gather
from landscape.core.features.hooks import watch_outputs
from landscape.core.features.units import find_units
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

    Args:
        problem: Model and data.
        patterns: Globs over module names; none takes the outputs of blocks, the outermost ones, by which
            networks are compared (Kornblith et al. 2019), and every module of a model that has no two.
        most: Most layers to take.

    Raises:
        InputError: If a glob matches no module, or no output counts.
    """
    patterns = list(patterns)
    if patterns:
        choice = _among(problem, patterns)
    else:
        # Only these are watched: a block that returns what its last part put out would be that part.
        blocks = [glob.escape(name) for name in _blocks(problem)]
        choice = _among(problem, blocks) if len(blocks) > 1 else LayerChoice([], [])
        if len(choice.names) < 2:
            choice = _among(problem, ["*"])
    names = choice.names
    if not names:
        raise InputError(
            f"no output of {type(problem.module).__name__} matching {', '.join(patterns or ['*'])} has one"
            " row of real numbers per example; choose other layers."
        )
    if len(names) > most:
        names = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int))]
    return LayerChoice(names, choice.left_out)


def _among(problem: Problem, patterns: list[str]) -> LayerChoice:
    """All outputs that match and count, and those that match and do not."""
    # Few, unlike the batches, so that a layer cannot have as many rows as a batch by chance.
    most_tried = min(_TRIED, problem.examples)
    found = [_rows(problem, patterns, size) for size in range(most_tried, max(most_tried - 2, 0), -1)]
    names = [name for name in found[0] if all(rows.get(name, False) for rows in found)]
    return LayerChoice(names, [name for name in found[0] if name not in set(names)])


def _blocks(problem: Problem) -> list[str]:
    """The outermost blocks of a model, or if there is but one, those within it too."""
    blocks = [name for name, unit in find_units(problem.module).items() if "block" in unit.kinds]
    known = set(blocks)

    def outer(name: str) -> bool:
        parts = name.split(".")
        return not any(".".join(parts[:i]) in known for i in range(1, len(parts)))

    outermost = [name for name in blocks if outer(name)]
    return outermost if len(outermost) > 1 else blocks


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

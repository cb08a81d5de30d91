"""Directions in parameter space, normalised so that models of different scale can be compared."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from landscape.core.linalg.reductions import norms
from landscape.core.problem.problem import Problem
from landscape.errors import InputError, suggest

__all__ = ["STILL", "Normalization", "ignored_names", "normalize", "random_direction"]

Normalization = Literal["filter", "layer", "parameter", "none"]

Kind = Literal["bias", "norm", "position"]

STILL: tuple[str, ...] = ("bias", "norm", "position")
"""What does not move by default."""

_POSITION = re.compile(
    r"(abs_|rel_)?(pos(ition(al)?)?_?(emb(ed(ding)?s?)?|enc(oding)?s?))|wpe|relative_position_(bias|embed)\w*"
    r"|(cls|class|dist(illation)?|reg(ister)?|mask)_?(token|embedding)s?"
)


def random_direction(
    problem: Problem,
    normalization: Normalization = "filter",
    *,
    seed: int = 0,
    ignore: Iterable[str] = STILL,
) -> Tensor:
    """A Gaussian direction (P,), normalised against the checkpoint.

    The Gaussian entries are drawn on the CPU, so that a seed means the same direction on any device.

    Args:
        problem: The problem whose parameters it fits.
        normalization: See `normalize`.
        seed: Seed of the draw.
        ignore: Parameters that get a zero direction; see `ignored_names`.
    """
    generator = torch.Generator().manual_seed(seed)
    # In float64 for every problem: torch draws other numbers in another dtype.
    draw = torch.randn(problem.size, generator=generator, dtype=torch.float64)
    return normalize(problem, draw.to(problem.device, problem.dtype), normalization, ignore=ignore)


def normalize(
    problem: Problem,
    direction: Tensor,
    normalization: Normalization,
    *,
    ignore: Iterable[str] = STILL,
) -> Tensor:
    """Scale a direction (P,) to the checkpoint's weights.

    ``filter`` (Li et al. 2018, eq. 1): each output filter of the direction, a slice along the first axis
    of a weight (out, ...), gets the norm of the same filter of θ. ``layer``: each parameter tensor gets
    the norm of that tensor. ``parameter``: each entry is scaled by |θᵢ|. ``none``: as drawn.

    A tensor of one axis has no filters and is scaled as a whole under ``filter``.

    Raises:
        InputError: If the normalisation is unknown or the direction does not fit.
    """
    if normalization not in get_args(Normalization):
        raise InputError(
            f"there is no normalization '{normalization}'; {suggest(normalization, get_args(Normalization))}"
        )
    zero = ignored_names(problem.module, ignore)
    weights = problem.space.unflatten(problem.theta)
    pieces = []
    for name, d in problem.space.unflatten(direction).items():
        w = weights[name]
        if name in zero:
            pieces.append(torch.zeros_like(d))
        elif normalization == "parameter":
            pieces.append(d * w.abs())
        elif normalization == "layer" or (normalization == "filter" and d.ndim < 2):
            pieces.append(d * _ratio(norms(w.flatten()), norms(d.flatten())))
        elif normalization == "filter":
            # Over all axes but the first, as in Li et al.; some published code sums over the first instead.
            ratio = _ratio(norms(w.flatten(1)), norms(d.flatten(1)))
            pieces.append(d * ratio.view(-1, *[1] * (d.ndim - 1)))
        else:
            pieces.append(d)
    return problem.space.flatten(pieces)


def ignored_names(module: nn.Module, ignore: Iterable[str]) -> set[str]:
    """Names of the parameters that ``ignore`` leaves out of a direction.

    Args:
        module: The model.
        ignore: Kinds: ``bias``, those of ``norm`` layers (Li et al. 2018, section 4), and ``position``:
            embeddings of positions, class tokens and their like, which are tables and no filters; and globs
            over names of parameters.

    Raises:
        InputError: If a glob matches no parameter.
    """
    given = list(ignore)
    kinds = {word for word in given if word in get_args(Kind)}
    everything = [name for name, _ in module.named_parameters()]
    names = set()
    for pattern in given:
        if pattern not in kinds:
            found = fnmatch.filter(everything, pattern)
            if not found:
                hint = suggest(pattern, [*get_args(Kind), *everything])
                raise InputError(
                    f"no parameter of {type(module).__name__} matches ignore '{pattern}'; {hint}"
                )
            names |= set(found)
    for prefix, part in module.named_modules():
        # By the name of the class, so that norm layers of other libraries, such as an RMSNorm, count.
        is_norm = "norm" in type(part).__name__.lower()
        for name, _ in part.named_parameters(recurse=False):
            bias = name == "bias" or name.startswith("bias_") or name.endswith("_bias")
            whole = f"{prefix}.{name}" if prefix else name
            position = any(_POSITION.fullmatch(part) for part in whole.lower().split("."))
            still = {"norm": is_norm, "bias": bias, "position": position}
            if any(still[kind] for kind in kinds):
                names.add(whole)
    return names


def _ratio(weight: Tensor, direction: Tensor) -> Tensor:
    """‖w‖/‖d‖, zero where d is zero."""
    return torch.where(direction > 0, weight / direction.clamp_min(torch.finfo(weight.dtype).tiny), 0.0)

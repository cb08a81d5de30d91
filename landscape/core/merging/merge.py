"""Several models of one architecture made one, by any of the methods, with BatchNorm made to fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.connectivity.soups import average
from landscape.core.curvature.kfac.loss_roots import Roots
from landscape.core.merging.fisher import diagonal_fisher, fisher_mean
from landscape.core.merging.regmean import input_grams, regmean
from landscape.core.merging.states import Weights, check_alike, parted
from landscape.core.merging.vectors import Part, slerp, task_arithmetic, ties
from landscape.core.problem.batchnorm import recalibrated, running_layers
from landscape.core.problem.problem import Problem
from landscape.core.problem.states import full_state, rest_of_state
from landscape.core.symmetry.alignment import align_traced, trace_model
from landscape.core.symmetry.universe import align_all
from landscape.errors import InputError, suggest

__all__ = [
    "FROM_BASE",
    "FROM_DATA",
    "METHODS",
    "Aligning",
    "MergeOptions",
    "Merged",
    "Method",
    "Statistics",
    "evaluation",
    "in_one_order",
    "merge",
    "merge_states",
]

Method = Literal["mean", "fisher", "regmean", "task_arithmetic", "ties", "slerp"]
METHODS: tuple[Method, ...] = get_args(Method)

FROM_DATA = ("fisher", "regmean")
"""Methods that look at what the models do on data."""

FROM_BASE = ("task_arithmetic", "ties")
"""Methods that take the model from which all were trained."""

Aligning = Literal["weights", "activations", "universe"]
"""How units are put in one order first: each model's in the first one's, by weights or activations, or all at
once, by weights."""

Statistics = Literal["recalibrate", "average"]
"""BatchNorm's running statistics: pooled anew over the data at the merged weights, or the models' mean."""


@dataclass(frozen=True)
class MergeOptions:
    """Settings of the methods.

    Attributes:
        scale: λ of task arithmetic and TIES; ``None`` for 0.4 and 1.
        keep: Share of a task vector that TIES keeps.
        shrink: α of RegMean.
        t: How far SLERP goes from the first model to the second.
        part: Between what SLERP takes the angle.
        roots: How the Fisher matrix is found.
        samples: Draws of each example, of ``roots="mc"``.
        seed: Of these draws and of the alignment.
    """

    scale: float | None = None
    keep: float = 0.2
    shrink: float = 0.9
    t: float = 0.5
    part: Part = "whole"
    roots: Roots = "mc"
    samples: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Merged:
    """A merged model.

    Attributes:
        state: Its state_dict.
        method: How it was merged.
        notes: What has to be known of it, sentence by sentence: where a method fell back to the mean, and
            where BatchNorm's statistics come from.
    """

    state: dict[str, Tensor]
    method: str
    notes: tuple[str, ...] = ()


def merge_states(
    states: Sequence[Weights],
    method: Method = "mean",
    *,
    base: Weights | None = None,
    names: Sequence[str] | None = None,
    options: MergeOptions | None = None,
) -> Merged:
    """Merge state_dicts by a method that needs no data; BatchNorm's running statistics are averaged.

    Args:
        states: State_dicts of models of one architecture.
        method: ``mean``, ``task_arithmetic``, ``ties`` or ``slerp``.
        base: The model from which all were trained, for task arithmetic and TIES.
        names: Of the models, for errors.
        options: Settings of the methods.

    Raises:
        InputError: If models cannot be merged, a base is missing or of no use, or the method needs data.

    Example:
        >>> merge_states([{"w": torch.tensor([v])} for v in (1.0, 2.0)]).state["w"].item()
        1.5
    """
    _check_method(method)
    if method in FROM_DATA:
        raise InputError(f"method='{method}' looks at what the models do on data; give problems to merge.")
    given = states if base is None else [*states, base]
    check_alike(states, names)
    if base is not None:
        check_alike([states[0], base], [names[0] if names else "1", "base"])
    weights, others = parted(given)
    origin = _base(method, weights.pop() if base is not None else None)
    made = _from_weights(weights, method, origin, options or MergeOptions(), names)
    rest = average(others[: len(states)])
    notes = ("BatchNorm statistics are the mean of the models'.",) if _statistics(rest) else ()
    return Merged({name: {**made, **rest}[name] for name in states[0]}, method, notes)


@under_own_context
def merge(
    problems: Mapping[str, Problem] | Sequence[Problem],
    method: Method = "mean",
    *,
    base: Weights | None = None,
    align: Aligning | None = None,
    batchnorm: Statistics = "recalibrate",
    options: MergeOptions | None = None,
    states: Sequence[Weights] | None = None,
) -> Merged:
    """One model from several of one architecture, which is a state_dict.

    Args:
        problems: The models with the data on which their Fisher matrices and inputs are taken, which may be
            different data. BatchNorm is recalibrated on all of them.
        method: ``mean`` (a uniform soup), ``fisher``, ``regmean``, ``task_arithmetic``, ``ties``, ``slerp``.
        base: The model from which all were trained, for task arithmetic and TIES.
        align: Whether units are first put in one order, and how.
        batchnorm: Where BatchNorm's running statistics come from.
        options: Settings of the methods.
        states: The models in one order already, as of `in_one_order`, in place of ``align``.

    Raises:
        InputError: If models cannot be merged, or an option does not go with the method.

    Reference:
        Wortsman et al. (2022) for the mean; Matena & Raffel (2022), Jin et al. (2023), Ilharco et al. (2023),
        Yadav et al. (2023), Shoemake (1985) for the others.
    """
    _check_method(method)
    names, every, options = *_named(problems), options or MergeOptions()
    if align is not None and method in FROM_BASE:
        raise InputError(
            f"method='{method}' adds what models learnt since their base, whose units are in its order; leave"
            " out align."
        )
    if batchnorm not in get_args(Statistics):
        raise InputError(f"there are no statistics '{batchnorm}'; {suggest(batchnorm, get_args(Statistics))}")
    if states is None:
        states = in_one_order(problems, align, seed=options.seed)
    first = every[0]
    if method in FROM_DATA:
        _base(method, base)
        weights, others = parted(states)
        made, note = _from_data(every, states, weights, method, options)
        merged = Merged({**made, **average(others)}, method, (note,) if note else ())
    else:
        full = None if base is None else full_state(first, base)
        merged = merge_states(states, method, base=full, names=names, options=options)
    state = full_state(first, merged.state)
    notes = [n for n in merged.notes if not n.startswith("BatchNorm")]
    if running_layers(first.module):
        if batchnorm == "recalibrate":
            state |= _recalibrated(every, state)
            notes.append("BatchNorm statistics are pooled anew over the data.")
        else:
            notes.append("BatchNorm statistics are the mean of the models'.")
    return Merged({name: state[name] for name in states[0]}, method, tuple(notes))


def in_one_order(
    problems: Mapping[str, Problem] | Sequence[Problem], how: Aligning | None, *, seed: int = 0
) -> list[dict[str, Tensor]]:
    """Full states of models, their units in the order of the first one's.

    Args:
        problems: The models.
        how: By what; ``None`` leaves them as they are.
        seed: Of the alignment.

    Raises:
        InputError: If the models are of unlike architecture or cannot be aligned.
    """
    names, every = _named(problems)
    states = [{n: t.detach().clone() for n, t in p.module.state_dict().items()} for p in every]
    check_alike(states, names)
    if how is None:
        return states
    if how not in get_args(Aligning):
        raise InputError(f"models cannot be aligned by '{how}'; {suggest(how, get_args(Aligning))}")
    inputs, forward = every[0].calls()
    # Matching by weights looks at no activations: one batch is enough to trace the model and verify.
    given: dict[str, Any] = {"forward": forward, "seed": seed}
    given["inputs"] = inputs if how == "activations" else inputs[:1]
    if how == "universe":
        return list(align_all(every[0].module, states, **given).states)
    traced = trace_model(every[0].module, given["inputs"], forward)
    others = [align_traced(traced, states[0], s, method=how, seed=seed).state for s in states[1:]]
    return [states[0], *others]


def _named(problems: Mapping[str, Problem] | Sequence[Problem]) -> tuple[list[str], list[Problem]]:
    if isinstance(problems, Mapping):
        return list(problems), list(problems.values())
    return [f"{i + 1}" for i in range(len(problems))], list(problems)


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise InputError(f"there is no way '{method}' to merge; {suggest(method, METHODS)}")


def _base(method: str, base: Weights | None) -> Weights | None:
    if method in FROM_BASE and base is None:
        raise InputError(f"method='{method}' adds what models learnt since their base; give base.")
    if method not in FROM_BASE and base is not None:
        raise InputError(f"method='{method}' has no use for a base; leave it out.")
    return base


def _from_weights(
    weights: Sequence[Weights],
    method: Method,
    base: Weights | None,
    options: MergeOptions,
    names: Sequence[str] | None,
) -> dict[str, Tensor]:
    if method == "slerp":
        if len(weights) != 2:
            raise InputError(f"method='slerp' goes from one model to another; got {len(weights)} models.")
        return slerp(*weights, t=options.t, part=options.part)
    if base is None:
        return average(weights)
    if method == "ties":
        scale = 1.0 if options.scale is None else options.scale
        return ties(base, weights, keep=options.keep, scale=scale)
    return task_arithmetic(base, weights, scale=0.4 if options.scale is None else options.scale)


def _from_data(
    problems: Sequence[Problem],
    states: Sequence[Weights],
    weights: Sequence[Weights],
    method: Method,
    options: MergeOptions,
) -> tuple[dict[str, Tensor], str]:
    """The merged weights, and where they are the plain mean."""
    found: list[dict[str, Tensor]] = []
    for problem, state in zip(problems, states, strict=True):
        with rest_of_state(problem, state), problem.at(problem.space.flatten(state)):
            if method == "fisher":
                more = {"roots": options.roots, "samples": options.samples, "seed": options.seed}
                found.append(diagonal_fisher(problem, **more))  # type: ignore[arg-type]
            else:
                found.append(input_grams(problem))
    if method == "fisher":
        made, plain = fisher_mean(weights, found)
        every = sum(t.numel() for t in made.values())
        return made, f"The plain mean in {plain} of {every} entries, whose Fisher is 0." if plain else ""
    made, left = regmean(weights, found, shrink=options.shrink)
    listed = ", ".join(f"'{name}'" for name in left[:3]) + (", ..." if len(left) > 3 else "")
    return made, f"The plain mean in {len(left)} of {len(made)} tensors: {listed}." if left else ""


def _recalibrated(problems: Sequence[Problem], state: Weights) -> dict[str, Tensor]:
    """Running statistics at the merged weights, pooled over the data of all problems, each data once."""
    first = problems[0]
    data = {problem.fingerprint()[1]: problem.batches for problem in problems}
    batches = [batch for part in data.values() for batch in part]
    pooled = first if len(data) == 1 else first.on(batches)
    with ExitStack() as stack:
        stack.enter_context(rest_of_state(first, state))
        stack.enter_context(first.at(first.space.flatten(state)))
        stack.enter_context(recalibrated(pooled))
        own = first.module.state_dict()
        return {n: own[n].detach().clone() for n in _statistics(own) if own[n].is_floating_point()}


def _statistics(state: Mapping[str, Tensor]) -> list[str]:
    return [name for name in state if name.rpartition(".")[2] in ("running_mean", "running_var")]


def evaluation(problem: Problem, state: Weights) -> Any:
    """`Problem.measure` of a problem's model with another state, running statistics included."""
    with torch.no_grad(), rest_of_state(problem, state):
        return problem.measure(problem.space.flatten(state))

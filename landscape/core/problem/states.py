"""States: points of parameter space as vectors or state_dicts, and what of a model is not a parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from landscape.core.problem.problem import Problem
from landscape.core.seeds import spread_seed
from landscape.errors import InputError

__all__ = [
    "State",
    "as_vector",
    "differing_rest",
    "direction_seed",
    "full_state",
    "rest_of_state",
]

State = Tensor | Mapping[str, Tensor]
"""A point or direction in parameter space: a flat vector (P,), or tensors by parameter name."""


def direction_seed(seed: int, index: int) -> int:
    """The seed of the direction at ``index`` of several drawn from one seed; the first keeps the seed."""
    return seed if index == 0 else spread_seed(seed, index)


def as_vector(problem: Problem, state: State, what: str = "the state") -> Tensor:
    """A flat vector (P,) of a state_dict (entries that are no chosen parameter are left out) or vector.

    Raises:
        InputError: If it does not fit the problem's parameters, or holds NaN or infinite values.
    """
    if isinstance(state, Mapping):
        try:
            vector = problem.space.flatten(state)
        except InputError as error:
            raise InputError(f"{what} does not fit: {error}") from error
    else:
        if not isinstance(state, Tensor | np.ndarray | Sequence) or isinstance(state, str):
            raise InputError(
                f"{what} is a {type(state).__name__}; give a state_dict or a flat vector ({problem.size},)."
            )
        try:
            vector = torch.as_tensor(state).detach().to(problem.device, problem.dtype)
        except (TypeError, ValueError, RuntimeError):  # a list of what are no numbers
            raise InputError(
                f"{what} is a {type(state).__name__} that holds no numbers; give a state_dict or a flat"
                f" vector ({problem.size},)."
            ) from None
        if vector.shape != (problem.size,):
            raise InputError(f"{what} has shape {tuple(vector.shape)}, not ({problem.size},).")
    if not bool(torch.isfinite(vector).all()):
        raise InputError(f"{what} holds NaN or infinite values.")
    return vector


@contextmanager
def rest_of_state(problem: Problem, state: State) -> Iterator[None]:
    """Within it, the model has the buffers and unchosen parameters of a state_dict, afterwards its own."""
    if not isinstance(state, Mapping):
        yield
        return
    named = {**dict(problem.module.named_parameters()), **dict(problem.module.named_buffers())}
    rest = {name: t for name, t in named.items() if name in state and name not in problem.space.names}
    for name, tensor in rest.items():
        if tensor.shape != state[name].shape:
            raise InputError(
                f"'{name}' of a checkpoint has shape {tuple(state[name].shape)}, not {tuple(tensor.shape)}."
            )
    kept = {name: tensor.detach().clone() for name, tensor in rest.items()}
    try:
        _overwrite(rest, state)
        yield
    finally:
        _overwrite(rest, kept)


@torch.no_grad()
def _overwrite(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        tensor.copy_(values[name])


def full_state(problem: Problem, state: State) -> dict[str, Tensor]:
    """A whole state_dict of the problem's model: what ``state`` holds, and for the rest the model's own.

    Raises:
        InputError: If it does not fit.
    """
    whole = {name: tensor.detach().clone() for name, tensor in problem.module.state_dict().items()}
    whole |= problem.space.unflatten(as_vector(problem, state))
    if isinstance(state, Mapping):
        whole |= {name: state[name].detach() for name in whole if name in state}
    first: dict[int, str] = {}
    for name, parameter in problem.module.named_parameters(remove_duplicate=False):
        shared = first.setdefault(id(parameter), name)
        if name != shared and name in whole:  # a tied weight has one value, that of its first name
            whole[name] = whole[shared]
    return whole


def _rest(problem: Problem, state: State) -> dict[str, Tensor]:
    """What of a model is not θ: buffers and parameters that are not chosen."""
    named = {**dict(problem.module.named_parameters()), **dict(problem.module.named_buffers())}
    given: Mapping[str, Tensor] = state if isinstance(state, Mapping) else {}
    rest = {}
    for name, own in named.items():
        if name in problem.space.names:
            continue
        tensor = given.get(name, own)
        if tensor.shape != own.shape:
            raise InputError(f"'{name}' of a model has shape {tuple(tensor.shape)}, not {tuple(own.shape)}.")
        rest[name] = tensor.detach().to(own.device, own.dtype, copy=True)
    return rest


def differing_rest(problem: Problem, a: State, b: State) -> str | None:
    """The first parameter that is not chosen and yet differs between two models, if there is one."""
    rests = _rest(problem, a), _rest(problem, b)
    parameters = (name for name, _ in problem.module.named_parameters() if name in rests[0])
    return next((name for name in parameters if not torch.equal(rests[0][name], rests[1][name])), None)

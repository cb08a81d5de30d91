"""What a checkpoint holds of its training beside the weights: the optimiser's state and its schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from landscape.zoo.reading.modules import as_tensor, module_state, scalar_of
from landscape.zoo.reading.stubs import attributes

__all__ = ["training_in"]

OPTIMIZERS = (
    "optimizer",
    "optimizer_state_dict",
    "optimizer_states",
    "optimizer_state",
    "optim",
    "optim_state_dict",
    "opt",
    "solver",
)
SCHEDULERS = (
    "lr_scheduler",
    "scheduler",
    "lr_schedulers",
    "lr_scheduler_state_dict",
    "scheduler_state_dict",
    "scheduler_state",
)
_DEEPEST = 6


def training_in(beside: Mapping[Any, Any]) -> dict[str, Any]:
    """The states of optimiser and schedule among what stands beside the weights.

    Args:
        beside: As `landscape.zoo.reading.weights.Read` has it. Nothing in it is run: what is no number, text,
            tensor or container of these is left out.

    Returns:
        ``optimizer`` and ``scheduler`` as ``state_dict()`` gives them, each if there is one alone.
    """
    found: dict[str, Any] = {}
    optimiser = _first(beside, OPTIMIZERS)
    if isinstance(optimiser, Mapping) and "param_groups" in optimiser:
        found["optimizer"] = _plain(optimiser)
    schedule = _first(beside, SCHEDULERS)
    if isinstance(schedule, Mapping) and schedule:
        found["scheduler"] = _plain(schedule)
    return found


def _first(beside: Mapping[Any, Any], names: tuple[str, ...]) -> Any:
    """What stands under the first of some names; the only entry of a list, as Lightning writes it."""
    value = next((beside[name] for name in names if name in beside), None)
    value = module_state(value)
    if isinstance(value, list | tuple):
        value = module_state(value[0]) if len(value) == 1 else None
    return value if isinstance(value, Mapping) else attributes(value)


def _plain(value: Any, depth: int = 0) -> Any:
    """The same without whatever is no data."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {k: _plain(v, depth + 1) for k, v in value.items() if isinstance(k, int | str)}
    if isinstance(value, list | tuple):
        return [_plain(v, depth + 1) for v in value]
    tensor = as_tensor(value)
    return scalar_of(value) if tensor is None else tensor

"""Which checkpoints are of one training, how far it had come at each, and which is its last."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["PROGRESS", "ends_of_runs", "how_far", "trainings"]

PROGRESS = ("epoch", "step")
"""Tags that say how far a training had come."""


def how_far(tags: Mapping[str, Any]) -> tuple[float | None, ...]:
    """Epoch and step, each ``None`` if no number says it."""
    return tuple(_number(tags.get(name)) for name in PROGRESS)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def trainings(models: Iterable[Any]) -> dict[str, str]:
    """By name of a model, the training that it is a checkpoint of; empty for one that stands alone.

    Checkpoints with the same ``run`` are of one training. Where none is named, those are that differ in epoch
    or step alone: alike in group, seed and all other tags, and no two at one time, since two at one time are
    two trainings whose seeds nobody wrote down.

    Args:
        models: Anything with ``name``, ``group``, ``seed``, ``tags`` and ``run``.

    Returns:
        Texts that are equal for checkpoints of one training, within one group and between groups.

    Example:
        >>> from types import SimpleNamespace as Model
        >>> zoo = [Model(name=f"{s}e{e}", group="g", seed=s, tags={"epoch": e}, run="") for s, e in
        ...        ((0, 1), (0, 2), (1, 1))]
        >>> found = trainings(zoo)
        >>> found["0e1"] == found["0e2"], found["1e1"]
        (True, '')
    """
    listed = list(models)
    keys = {m.name: _key(m) for m in listed}
    times: dict[str, list[tuple[float | None, ...]]] = {}
    for model in listed:
        times.setdefault(keys[model.name], []).append(how_far(model.tags))
    named = {m.name for m in listed if m.run}
    apart = {key for key, found in times.items() if len(found) > 1 and max(Counter(found).values()) == 1}
    return {name: key if key and (name in named or key in apart) else "" for name, key in keys.items()}


def _key(model: Any) -> str:
    if model.run:
        return json.dumps([model.group, model.run])
    if all(time is None for time in how_far(model.tags)):
        return ""
    others = {name: str(value) for name, value in model.tags.items() if name not in PROGRESS}
    return json.dumps([model.group, model.seed, others], sort_keys=True, default=str)


def ends_of_runs(models: Iterable[Any]) -> dict[str, bool]:
    """By name, whether a model is the last checkpoint of its training; true of all that stand alone.

    The last is that with the largest epoch or step among its tags, else that of the state ``last``, else the
    last in the order given.

    Args:
        models: As for `trainings`.

    Example:
        >>> from types import SimpleNamespace as Model
        >>> ends_of_runs(Model(name=f"e{e}", group="g", seed=0, tags={"epoch": e}, run="r") for e in (9, 1))
        {'e9': True, 'e1': False}
    """
    listed = list(models)
    found = trainings(listed)
    members: dict[str, list[Any]] = {}
    for model in listed:
        members.setdefault(found[model.name] or f"alone {model.name}", []).append(model)
    last = set()
    for checkpoints in members.values():
        places = [(*_order(model.tags), place) for place, model in enumerate(checkpoints)]
        last.add(checkpoints[max(places)[-1]].name)
    return {model.name: model.name in last for model in listed}


def _order(tags: Mapping[str, Any]) -> tuple[float, float, bool]:
    epoch, step = (-1.0 if time is None else time for time in how_far(tags))
    return epoch, step, tags.get("state") == "last"

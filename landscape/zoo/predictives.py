"""Predictives of a zoo: planned as models of their own, and built of their members' modules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError, InputError
from landscape.imports import invoke
from landscape.zoo.builders import resolve
from landscape.zoo.spec import Builder, Model, PredictiveModel, PredictiveSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["beside_members", "build_predictive", "enough", "fit_tensors", "planned"]


def planned(
    specs: Sequence[PredictiveSpec], models: Sequence[Model], fingerprint: Callable[[Builder], str]
) -> list[PredictiveModel]:
    """The predictives of a zoo with their members as these are now.

    Args:
        specs: The predictives of the manifest.
        models: The checkpoints, hashed.
        fingerprint: Gives the content hash of the data that a builder makes.

    Raises:
        InputError: If a glob matches no checkpoint, or data to fit on cannot be built.
    """
    return [
        PredictiveModel(
            name=spec.name,
            path=Path(),
            builder=spec.builder,
            group=spec.group,
            tags=spec.tags,
            members=spec.of(models),
            fit=spec.fit,
            fit_fingerprint=None if spec.fit is None else fingerprint(spec.fit),
        )
        for spec in specs
    ]


def beside_members(models: Sequence[Model], predictives: Sequence[PredictiveModel]) -> list[Model]:
    """Models and predictives as tables list them: each predictive after the last of its members."""
    places = {model.name: place for place, model in enumerate(models)}
    after: dict[int, list[Model]] = {}
    for predictive in predictives:
        after.setdefault(max(places[m.name] for m in predictive.members), []).append(predictive)
    return [one for place, model in enumerate(models) for one in (model, *after.get(place, ()))]


def enough(predictive: PredictiveModel, left_out: dict[str, str]) -> None:
    """Raise if too few members are left to speak of the same predictive: an average takes two.

    Raises:
        CheckpointError: If one of several members, or none, can be used.
    """
    left = [m.name for m in predictive.members if m.name not in left_out]
    if len(left) >= min(2, len(predictive.members)):
        return
    reasons = " ".join(f"'{name}': {reason}" for name, reason in left_out.items())
    count = len(predictive.members)
    who = f"of the {count} members" if count > 1 else "the member"
    what = f"only '{left[0]}' can be used, and an average takes two" if left else "none can be used"
    if count == 1:
        what = "cannot be used"
    raise CheckpointError(f"{who} of predictive '{predictive.name}' {what}; {reasons}")


def build_predictive(builder: Builder, folder: Path, members: list[nn.Module], fit_data: Any) -> nn.Module:
    """Call the builder of a predictive.

    Args:
        builder: ``(members, **kwargs)``, or with data to fit on ``(members, fit_data, **kwargs)``.
        folder: Where the manifest is.
        members: The members' modules, in evaluation mode.
        fit_data: What to fit on; ``None`` for nothing.

    Raises:
        InputError: If it is missing, raises, or returns no module.
    """
    from torch import nn

    what = f"predictive builder '{builder.reference}'"
    function = resolve(builder.reference, folder, "predictive builder")
    given = {"members": members} if fit_data is None else {"members": members, "fit_data": fit_data}
    # bound beforehand: an error message must list the arguments of the manifest, not all weights
    module = invoke(functools.partial(function, **given), builder.kwargs, what)
    if not isinstance(module, nn.Module):
        raise InputError(f"{what} returned a {type(module).__name__}, not a torch.nn.Module.")
    return module


def fit_tensors(batches: Sequence[Any]) -> Any:
    """``(inputs, targets)`` of all batches where they are pairs of tensors, else the list of batches."""
    import torch

    if not all(isinstance(b, tuple | list) and len(b) == 2 and all(map(torch.is_tensor, b)) for b in batches):
        return list(batches)
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])

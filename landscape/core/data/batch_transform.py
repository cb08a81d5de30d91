"""Transforms of whole mini-batches, which may change targets as well: mixup, cutmix, RandAugment."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch

from landscape.core.data.batches import Batch, batch_of, tensors_in
from landscape.errors import InputError, one_line

__all__ = ["BatchTransform", "takes_targets", "transform_batch"]

BatchTransform = Callable[[Any, Any, torch.Generator], tuple[Any, Any]]
"""``(images, targets, generator) -> (images, targets)`` of as many examples."""


def takes_targets(function: Callable[..., Any]) -> bool:
    """Whether a function takes images, targets and a generator, and not images and a generator alone."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    plain = [
        p for p in found if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(plain) == 3


def transform_batch(batch: Batch, function: BatchTransform, seed: int, name: str = "transform") -> Batch:
    """A batch as a transform makes it.

    Its random numbers come from the generator that it is given; those that it draws from torch's global one,
    as torchvision's transforms do, follow from the seed too, and the global one is left alone.

    Args:
        batch: A batch of inputs and targets.
        function: Called as ``function(images, targets, generator)`` with copies.
        seed: Seed of the generator.
        name: What to call it in error messages.

    Raises:
        InputError: If the batch has no targets, or the function raises or returns another form.
    """
    fresh = batch.fresh()
    if not isinstance(batch.raw, tuple | list) or len(batch.raw) != 2:
        raise InputError(f"{name} takes data of pairs (images, targets); this batch is none.")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = function(fresh.raw[0], fresh.raw[1], torch.Generator().manual_seed(seed))
    except Exception as error:
        raise InputError(
            f"{name} failed: {one_line(error)}; it is called with (images, targets, generator)."
        ) from error
    if not isinstance(made, tuple | list) or len(made) != 2:
        what = f"{len(made)} values" if isinstance(made, tuple | list) else f"a {type(made).__name__}"
        raise InputError(f"{name} returned {what}; return (images, targets).")
    for what, old, new in (("images", batch.raw[0], made[0]), ("targets", batch.raw[1], made[1])):
        before, after = (dict(tensors_in(value)) for value in (old, new))
        if before.keys() != after.keys():
            raise InputError(
                f"{name} returned {what} that are no tensors as they were given; keep their form."
            )
        for key, tensor in after.items():
            if tensor.ndim == 0 or len(tensor) != len(before[key]):
                raise InputError(
                    f"{name} returned {what} of shape {tuple(tensor.shape)} for"
                    f" {tuple(before[key].shape)}; keep the number of examples."
                )
            if what == "images" and tensor.shape != before[key].shape:
                raise InputError(
                    f"{name} turned images of shape {tuple(before[key].shape)} into {tuple(tensor.shape)};"
                    " keep the shape, which the model takes."
                )
    return batch_of(type(batch.raw)(made) if isinstance(batch.raw, list) else tuple(made), batch.size)

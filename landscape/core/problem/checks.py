"""Checks that a model is a function of the parameters it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from landscape.errors import InputError

__all__ = ["unwritten"]


@contextmanager
def unwritten(model: nn.Module) -> Iterator[None]:
    """Within it, forward passes may not write to the model's parameters.

    Raises:
        InputError: Naming the first parameter that it wrote to or replaced.
    """
    before = [(name, p, p._version, p.data_ptr()) for name, p in model.named_parameters()]
    values = [p.detach().clone() for _, p, *_ in before]
    yield
    now = dict(model.named_parameters())
    for (name, parameter, version, place), value in zip(before, values, strict=True):
        same = now.get(name) is parameter and parameter.data_ptr() == place and parameter._version == version
        if not same or not torch.equal(parameter.nan_to_num(), value.nan_to_num()):
            raise InputError(
                f"the forward pass of {type(model).__name__} writes to its parameter '{name}', so that the"
                " loss is not that of the parameters it is given; compute the changed weights into a new"
                " tensor in forward (for example with torch.nn.utils.parametrize), or change them after"
                " the optimiser's step."
            )

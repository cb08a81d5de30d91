"""Checks that a model is a function of the parameters it is given, with derivatives."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from landscape.core.linalg.reductions import slices
from landscape.errors import InputError, one_line

__all__ = ["explained", "unwritten"]

PIECE = 1 << 18
"""Entries of a parameter that are read at a time."""


@contextmanager
def unwritten(model: nn.Module) -> Iterator[None]:
    """Within it, forward passes may not write to the model's parameters.

    Raises:
        InputError: Naming the first parameter that it wrote to or replaced.
    """
    before = [(name, p, p._version, p.data_ptr(), _checksum(p)) for name, p in model.named_parameters()]
    yield
    now = dict(model.named_parameters())
    for name, parameter, version, place, content in before:
        same = now.get(name) is parameter and parameter.data_ptr() == place and parameter._version == version
        # Writes through ``.data``, NumPy or another library's kernels leave no trace but the values.
        if not same or _checksum(parameter) != content:
            raise InputError(
                f"the forward pass of {type(model).__name__} writes to its parameter '{name}', so that the"
                " loss is not that of the parameters it is given; compute the changed weights into a new"
                " tensor in forward (for example with torch.nn.utils.parametrize), or change them after"
                " the optimiser's step."
            )


def _checksum(parameter: Tensor) -> int:
    """A number that changes with the entries of a parameter, found without a copy of it; −0 counts as 0."""
    entries = parameter.detach().flatten()
    if entries.is_complex():
        entries = torch.view_as_real(entries).flatten()
    found = 0
    for part in slices(len(entries), PIECE):
        piece = (entries[part] + 0.0).cpu()
        found = zlib.crc32(piece.view(torch.uint8).numpy().data, found)
    return found


@contextmanager
def explained(model: nn.Module, examples: int) -> Iterator[None]:
    """Within it, what torch says of a forward or backward pass becomes a sentence, where one is known.

    Args:
        model: The model.
        examples: Size of the batch.

    Raises:
        InputError: If values that a gradient needs were overwritten, or BatchNorm has too few values to take
            statistics of.
    """
    try:
        yield
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        words = one_line(error).split(" Hint: ")[0]
        raise InputError(
            f"{type(model).__name__} overwrites values in place that its gradient needs, such as h.tanh_()"
            f" and then h *= 2; make a new tensor there (h = 2 * h). In torch's words: {words}"
        ) from error
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"BatchNorm cannot take statistics of a batch of {examples}: choose batch_size= so that"
            " no batch of one example is left over, drop the last batch, or take"
            " batchnorm='checkpoint'."
        ) from error

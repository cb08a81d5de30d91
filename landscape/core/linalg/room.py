"""Room for vectors of an operator's size: how many fit into memory, asked before the work that keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from landscape.core.free_memory import free_memory
from landscape.core.linalg.krylov import working_dtype
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.core.linalg.operators import SymmetricOperator

__all__ = ["too_little", "vectors_that_fit"]

WORKING = 8
"""Vectors that come and go beside those that are kept: a product with its gradients, and its projections."""

UNKNOWN = 1 << 62  # bytes: where a system does not tell, nothing is refused


def vectors_that_fit(operator: SymmetricOperator, memory_budget: int | None) -> int:
    """How many vectors of the operator's size and working precision fit into memory.

    Args:
        operator: the operator, of size n.
        memory_budget: bytes that vectors may take; ``None`` takes the free memory of the operator's device,
            less what a product needs.
    """
    each = max(1, operator.size * working_dtype(operator.dtype).itemsize)
    if memory_budget is not None:
        return memory_budget // each
    return max(0, _free(operator.device) // each - WORKING)


def too_little(operator: SymmetricOperator, kept: int, fit: int, what: str, instead: str) -> InputError:
    """The error of a computation whose vectors do not fit.

    Args:
        operator: the operator.
        kept: how many vectors would be kept.
        fit: how many would fit.
        what: what keeps them, such as "40 Lanczos steps keep".
        instead: what would fit.
    """
    taken = kept * operator.size * working_dtype(operator.dtype).itemsize
    return InputError(
        f"{what} {kept} vectors of {operator.size:,} entries, {taken / 1e9:.3g} GB, and memory has room for"
        f" {fit}: {instead}."
    )


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        # what torch has kept for itself and does not use counts, too
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    return free_memory(unknown=UNKNOWN)

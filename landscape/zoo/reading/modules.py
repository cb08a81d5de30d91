"""Weights in what a pickle was read as: tensors, arrays, and whole modules without their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from landscape.zoo.reading.stubs import RefusedError, Stub

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["as_tensor", "module_state", "scalar_of"]

_DEEPEST = 100
_MOST_KEYS = 1_000_000


def as_tensor(value: Any) -> Tensor | None:
    """A tensor, or an array of numbers as one; ``None`` for everything else."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.size:
        native = value.astype(value.dtype.newbyteorder("="), copy=True)
        return torch.from_numpy(native) if value.dtype.name not in ("uint16", "uint32", "uint64") else None
    return None


def module_state(content: Any) -> Any:
    """The state_dict of a module or of a stub of one; the entries of a stub of a mapping; else the same.

    A stub of a module has what ``torch.nn.Module`` keeps of itself: parameters and buffers, which
    ``state_dict`` gives under the same names. What a class of its own would add stays unknown.

    Raises:
        RefusedError: If its modules hold one another.
    """
    import torch

    if isinstance(content, torch.nn.Module):
        return content.state_dict()
    if not isinstance(content, Stub):
        return content
    if not isinstance(content.fields.get("_parameters"), Mapping):
        return content.entries or content
    state: dict[str, Any] = {}
    # In the order of `state_dict`: a module's own first, then what is below, the last put on is taken first.
    todo = [("", content, 0)]
    while todo:
        prefix, module, depth = todo.pop()
        if depth > _DEEPEST or len(state) + len(todo) > _MOST_KEYS:
            raise RefusedError("its modules hold one another")
        fields = module.fields
        transient = fields.get("_non_persistent_buffers_set", ())
        transient = transient if isinstance(transient, set | list | tuple | frozenset) else ()
        for kind in ("_parameters", "_buffers"):
            held = fields.get(kind)
            for name, value in held.items() if isinstance(held, Mapping) else ():
                if isinstance(value, torch.Tensor) and not (kind == "_buffers" and name in transient):
                    state[f"{prefix}{name}"] = value
        below = fields.get("_modules")
        inner = (
            [(f"{prefix}{n}.", m, depth + 1) for n, m in below.items()] if isinstance(below, Mapping) else []
        )
        todo += [one for one in reversed(inner) if isinstance(one[1], Stub)]
    return state


def scalar_of(value: Any) -> int | float | bool | str | None:
    """A single value as Python has it, of a size that can be printed; ``None`` for others."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        try:
            value = value.item()
        except Exception:  # a tensor without data has no value
            return None
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return None  # Python itself refuses to print it if it is very long
    return value if isinstance(value, int | float | str) else None

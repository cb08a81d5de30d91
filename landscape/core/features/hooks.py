"""Feature capture: what each module puts out, in firing order."""

from __future__ import annotations

import fnmatch
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from landscape.core.problem.private_model import plain_encoder
from landscape.errors import InputError, suggest

__all__ = ["capture", "first_tensor", "watch_outputs"]


@contextmanager
def watch_outputs(
    module: nn.Module,
    receive: Callable[[str, Tensor], None],
    patterns: str | Iterable[str] = "*",
) -> Iterator[None]:
    """Within it, every matching submodule hands its output to ``receive(name, output)`` as it fires.

    The tensor is the live one: reduce it at once or clone it, since a later in-place operation may
    rewrite it. Names come in firing order; a module that fires again within one forward pass is called
    ``name#1``, ``name#2``, ... An output that is the very tensor already handed over, unchanged (a
    container returning its last child's output), is not handed over again.

    Args:
        module: The model; ``problem.module`` for a problem. A model without submodules counts as one
            layer called ``model``.
        receive: Called with the module's name and its output tensor. Of a tuple or list, the first
            tensor counts; of a mapping or other object nothing is taken.
        patterns: Globs over module names.

    Raises:
        InputError: If a pattern matches no submodule.
    """
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    named = {name: part for name, part in module.named_modules() if name} or {"model": module}
    for pattern in patterns:
        if not fnmatch.filter(named, pattern):
            raise InputError(
                f"no layer of {type(module).__name__} matches '{pattern}'; {suggest(pattern, named)}"
            )
    calls: dict[str, int] = {}
    seen: dict[int, tuple[weakref.ref[Tensor], int]] = {}

    def begin(*_: Any) -> None:
        calls.clear()
        seen.clear()

    def hook(name: str) -> Callable[..., None]:
        def fired(_: nn.Module, __: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is None:
                return
            count = calls[name] = calls.get(name, -1) + 1
            if not tensor.is_inference():  # such tensors do not count their changes
                known, version = seen.get(id(tensor), (None, -1))
                if known is not None and known() is tensor and version == tensor._version:
                    return
                seen[id(tensor)] = (weakref.ref(tensor), tensor._version)
            receive(name if count == 0 else f"{name}#{count}", tensor)

        return fired

    handles = [module.register_forward_pre_hook(begin)]
    handles += [
        part.register_forward_hook(hook(name))
        for name, part in named.items()
        if any(fnmatch.fnmatchcase(name, p) for p in patterns)
    ]
    try:
        with plain_encoder():
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def capture(module: nn.Module, patterns: str | Iterable[str] = "*") -> Iterator[dict[str, Tensor]]:
    """Within it, outputs of matching submodules gather in the yielded mapping, as clones.

    A later forward pass replaces the earlier one's entries.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
        >>> with capture(model) as features:
        ...     _ = model(torch.randn(1, 2))
        >>> list(features)
        ['0', '1']
    """
    features: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        features.pop(name, None)  # so that the order is that of the latest pass
        features[name] = output.detach().clone()

    with watch_outputs(module, keep, patterns):
        yield features


def first_tensor(output: Any) -> Tensor | None:
    """Of a module's output the tensor that counts: itself, or the first of a tuple or list."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list):
        return next((t for t in output if isinstance(t, Tensor)), None)
    return None

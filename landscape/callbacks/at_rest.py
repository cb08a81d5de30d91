"""A model in the midst of its training, as it is copied: without what watches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from landscape.errors import InputError

__all__ = ["at_rest", "own_module"]

_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_WRAPPERS = ("DataParallel", "DistributedDataParallel")
_FORWARD, _KEPT = "forward", "_original_forward"


def own_module(model: Any) -> nn.Module:
    """The module within what torch wraps about it to train it on several devices.

    Raises:
        InputError: If it is no module, or each process holds only a part of its weights.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if type(model).__name__ in _WRAPPERS and isinstance(getattr(model, "module", None), nn.Module):
        model = model.module
    if not isinstance(model, nn.Module):
        raise InputError(f"a probe takes a torch.nn.Module; got a {type(model).__name__}.")
    kinds = {type(p).__name__ for p in model.parameters()} | {type(m).__name__ for m in model.modules()}
    if kinds & {"DTensor", "FullyShardedDataParallel"}:
        raise InputError(
            "the weights of the model lie in parts in several processes, and a probe measures a whole one:"
            " save checkpoints and run landscape on them."
        )
    return model


@contextmanager
def at_rest(model: nn.Module) -> Iterator[None]:
    """Within it, a model is without hooks of others than torch, so that its copies have none of them.

    A hook that counts passes or keeps feature maps would see those of the copy too. Hooks of torch itself,
    such as those of ``torch.nn.utils.weight_norm``, are parts of the model and stay. The forward pass that
    mixed precision by accelerate puts in place of the model's own is set aside as well.
    """
    kept: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
    own = vars(model)
    wrapped = (_FORWARD, _KEPT) if _KEPT in own else ()
    forward = {name: own.pop(name) for name in wrapped if name in own}
    try:
        for module in model.modules():
            for name in _HOOKS:
                hooks = vars(module).get(name)
                if hooks:
                    kept.append((hooks, dict(hooks)))
                    for key in [key for key, hook in hooks.items() if not _is_torchs(hook)]:
                        del hooks[key]
        yield
    finally:
        for hooks, all_of_them in kept:
            hooks.clear()
            hooks.update(all_of_them)
        own.update(forward)


def _is_torchs(hook: Any) -> bool:
    home = getattr(hook, "__module__", None) or type(hook).__module__
    return str(home).partition(".")[0] == "torch"

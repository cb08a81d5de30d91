"""What a pass leaves behind on a model's modules, forgotten before the next one.

Attention with a table of biases, positions worked out for one size of picture, and the like keep in
evaluation mode what they computed from their parameters: in an attribute, or in a dictionary. At other
parameters, or in another dtype, the next pass would read what was kept; its loss would not be that of the
parameters it is given, and its gradient would lack them. On a private copy such tensors are worked out anew
in each pass.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["CopiedValues", "forget", "forget_between_passes"]

_OWN = {*vars(nn.Module()), "_landscape_leftovers"}
_DEPTH = 3
_KEY = "_landscape_leftovers"
_Values = dict[str, Any]


def forget_between_passes(model: nn.Module) -> None:
    """Put a private copy into evaluation mode, in which each pass works out anew what passes keep.

    What is kept is seen from the first passes: attributes that hold tensors afterwards and did not before.
    What a module works out when it is put into evaluation mode it works out again before each pass.
    """
    keeps = [m for m in model.modules() if type(m).train is not nn.Module.train]
    if keeps:
        model.train()  # such modules drop what they kept when they begin to train
    before = {module: _values(module) for module in keeps}
    model.eval()
    switched = [module for module, values in before.items() if _changed(module, values)]
    vars(model)[_KEY] = _Leftovers(model, switched)


def forget(model: nn.Module) -> None:
    """Drop what passes have left on a private copy, before each pass and before it is copied."""
    found = vars(model).get(_KEY)
    if found is not None:
        found.see()
        found.drop(model)


class CopiedValues(torch.overrides.TorchFunctionMode):
    """Within it, `copy.deepcopy` takes the values of tensors that torch refuses to copy, wherever met."""

    def __init__(self, convert: Any) -> None:
        super().__init__()
        self._convert = convert

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not Tensor.__deepcopy__ or (args[0].is_leaf and not args[0].is_inference()):
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        memo[id(tensor)] = copied = self._convert(tensor)
        return copied


class _Leftovers:
    """The attributes of modules as they were, and what passes have been seen to leave on them."""

    def __init__(self, model: nn.Module, switched: list[nn.Module]) -> None:
        self._switched = switched
        self._clean = {module: _values(module) for module in model.modules()}
        self._left: dict[nn.Module, set[str]] = {}
        self._mode: bool | None = None  # of the pass that is running
        self._seen: set[bool] = set()

    def __deepcopy__(self, memo: Any) -> _Leftovers:
        copied = copy.copy(self)  # that of another model, which is treated anew
        copied._switched, copied._clean, copied._left, copied._mode = [], {}, {}, None
        return copied

    def see(self) -> None:
        """See what the last pass left: of the first without gradients, and of the first with them."""
        if self._mode is None or self._mode in self._seen:
            return
        self._seen.add(self._mode)
        for module, values in self._clean.items():
            if module not in self._switched and (names := _changed(module, values)):
                self._left.setdefault(module, set()).update(names)

    def drop(self, model: nn.Module) -> None:
        """Forget what the last pass left; another one begins."""
        self._mode = torch.is_grad_enabled()
        for module, names in self._left.items():
            _restore(module, names, self._clean[module])
        if self._switched:
            modes = {module: module.training for module in model.modules()}
            for module in self._switched:
                module.train(True)
                module.train(False)
            for module, mode in modes.items():  # BatchNorm may be held in training
                module.training = mode


def _values(module: nn.Module) -> _Values:
    """A module's own attributes, containers taken apart so that changes within them show; its buffers."""
    values = {name: _frozen(value) for name, value in vars(module).items() if name not in _OWN}
    return {**values, **{f"buffer {name}": tensor for name, tensor in module._buffers.items()}}


def _changed(module: nn.Module, before: _Values) -> set[str]:
    """Names of the attributes that have changed, if a tensor is in one of them.

    Buffers and parameters that were there are left alone: other tensors are put in their place on purpose,
    by `torch.func.functional_call`.
    """
    now = _values(module)
    names = {
        name
        for name, value in now.items()
        if not _same(value, before.get(name, _ABSENT))
        and not callable(value)
        and not (name in before and (name.startswith("buffer ") or _holds(before[name], nn.Parameter)))
    }
    return names if any(_holds(now[name], Tensor) for name in names) else set()


def _restore(module: nn.Module, names: Iterable[str], clean: _Values) -> None:
    for name in names:
        store, key = vars(module), name
        if name.startswith("buffer "):
            store, key = cast(dict[str, Any], module._buffers), name.removeprefix("buffer ")
        if name in clean:
            store[key] = _thawed(clean[name])
        else:
            store.pop(key, None)


class _Frozen:
    """A dictionary, list, tuple or set, and what was in it."""

    def __init__(self, whole: Any, parts: list[tuple[Any, Any]]) -> None:
        self.whole, self.parts = whole, parts


_ABSENT = object()


def _frozen(value: Any, depth: int = _DEPTH) -> Any:
    if depth and type(value) in (dict, list, tuple, set):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        return _Frozen(value, [(key, _frozen(item, depth - 1)) for key, item in items])
    return value


def _thawed(value: Any) -> Any:
    """What was frozen, as it was: a container is the same object with its former contents."""
    if not isinstance(value, _Frozen):
        return value
    parts = [(key, _thawed(item)) for key, item in value.parts]
    if isinstance(value.whole, dict):
        value.whole.clear()
        value.whole.update(parts)
    elif isinstance(value.whole, list):
        value.whole[:] = [item for _, item in parts]
    elif isinstance(value.whole, set):
        value.whole.clear()
        value.whole.update(item for _, item in parts)
    return value.whole


def _same(one: Any, two: Any) -> bool:
    if not isinstance(one, _Frozen) or not isinstance(two, _Frozen):
        return one is two
    return (
        one.whole is two.whole
        and len(one.parts) == len(two.parts)
        and all(k == j and _same(v, w) for (k, v), (j, w) in zip(one.parts, two.parts, strict=True))
    )


def _holds(value: Any, kind: type) -> bool:
    return any(isinstance(leaf, kind) for leaf in _leaves(value))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, _Frozen):
        for _, item in value.parts:
            yield from _leaves(item)
    else:
        yield value

"""Reparametrised checkpoints: the plain weights of a module that torch kept in another form.

Pruning keeps a weight and a mask; spectral and weight normalisation keep what the weight is computed from,
under one set of names as parametrisations and another before; an average of weights keeps a counter and calls
its copy ``module``. Each form is known by its names alone, and the weights are computed as torch does in
evaluation mode.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from landscape.errors import CheckpointError, one_line

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["drop_counter", "fold"]

_FORMS = {
    "a pruning mask": ("{0}_orig", "{0}_mask"),
    "spectral_norm": ("{0}_orig", "{0}_u", "{0}_v"),
    "weight_norm": ("{0}_g", "{0}_v"),
    "parametrizations.spectral_norm": (
        "parametrizations.{0}.original",
        "parametrizations.{0}.0._u",
        "parametrizations.{0}.0._v",
    ),
    "parametrizations.weight_norm": ("parametrizations.{0}.original0", "parametrizations.{0}.original1"),
}
_COUNTER = "n_averaged"


def drop_counter(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """An average of weights (`torch.optim.swa_utils.AveragedModel`) without its counter and its prefix.

    Args:
        state: Tensors by name.
        own: Those of the model.

    Returns:
        The tensors, those of ``state`` if it is no average; and what was done, empty if nothing.
    """
    counters = [k for k in state if k == _COUNTER or k.endswith(f".{_COUNTER}")]
    if len(counters) != 1 or counters[0] in own:
        return dict(state), ""
    prefix = counters[0].removesuffix(_COUNTER) + "module."
    rest = {k: v for k, v in state.items() if k != counters[0]}
    if not rest or not all(k.startswith(prefix) for k in rest):
        return dict(state), ""
    kept = {k.removeprefix(prefix): v for k, v in rest.items()}
    return kept, f"average of {int(state[counters[0]])} models"


def fold(model: nn.Module, state: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], str]:
    """Compute the weights that a state_dict holds in another form than the model.

    Args:
        model: The model to be filled.
        state: Tensors by name, named as the model's, but for these forms and for what all names begin with.
        where: The file, for error messages.

    Returns:
        The tensors with plain weights; and which were computed from what, empty if none.

    Raises:
        CheckpointError: If a weight is kept in a form whose class the file does not tell.
    """
    folded, found = dict(state), dict[str, list[str]]()
    own = set(model.state_dict())
    for home, name in sorted({place for key in state if (place := _place(key)) is not None}):
        target = f"{home}{name}"
        # What the model itself calls so is its own, reparametrised or not.
        plain = next((k for k in own if target == k or target.endswith(f".{k}")), None)
        if plain is None or target in state:
            continue
        form = _form(home, name, set(folded) - _as_is(own, target, plain))
        if form is None:
            if f"{home}parametrizations.{name}." in "\n".join(state):
                raise _unknown(home, name, state, where)
            continue
        keys = [home + key.format(name) for key in _FORMS[form]]
        try:
            folded[target] = _weight(form, [folded.pop(key) for key in keys], model, plain)
        except (RuntimeError, TypeError, IndexError, StopIteration) as error:
            raise CheckpointError(
                f"checkpoint '{where}' holds '{target}' as {form}, but {', '.join(keys)} do not fit each"
                f" other: {one_line(error) or 'their shapes differ'}."
            ) from error
        found.setdefault(form, []).append(target)
    return folded, "; ".join(f"{', '.join(names)} from {form}" for form, names in found.items())


def _place(key: str) -> tuple[str, str] | None:
    """The module's name, with its dot, and the weight's, that a key of one of the forms belongs to."""
    for pattern in (r"(.*\.|)parametrizations\.([^.]+)\..+", r"(.*\.|)([^.]+)_(?:orig|mask|u|v|g)"):
        match = re.fullmatch(pattern, key)
        if match:
            return match[1], match[2]
    return None


def _as_is(own: set[str], target: str, plain: str) -> set[str]:
    """The model's own keys with what the file's names begin with."""
    wrapper = target.removesuffix(plain)
    return {wrapper + key for key in own}


def _form(home: str, name: str, keys: set[str]) -> str | None:
    """The form that exactly these keys of a weight are; ``None`` if none is."""
    stems = tuple(f"{home}{name}_{end}" for end in ("orig", "mask", "u", "v", "g"))
    given = {k for k in keys if k in stems or k.startswith(f"{home}parametrizations.{name}.")}
    for form, parts in _FORMS.items():
        if given == {home + part.format(name) for part in parts}:
            return form
    return None


def _weight(form: str, parts: list[Tensor], model: nn.Module, plain: str) -> Tensor:
    """The weight, by the same operations as torch's, so that its bits are the same."""
    import torch

    if form == "a pruning mask":
        return parts[1].to(parts[0].dtype) * parts[0]
    if form.endswith("weight_norm"):
        size, direction = parts
        # The axis along which there is a size for each; of a single size, the norm of all entries.
        axes = range(direction.ndim if size.ndim else 0)
        long = [i for i in axes if size.shape[i] > 1] or [i for i in axes if direction.shape[i] == 1]
        made: Tensor = torch._weight_norm(direction, size, long[0] if long else -1)
        return made
    original, u, v = parts
    part = model.get_submodule(plain.rpartition(".")[0])
    usual = int(isinstance(part, torch.nn.modules.conv._ConvTransposeNd))
    # torch's default, unless the vectors show that another axis was chosen
    by_custom = sorted(range(original.ndim), key=lambda axis: axis != usual)
    dim = next(axis for axis in by_custom if original.shape[axis] == len(u))
    matrix = original.permute(dim, *(axis for axis in range(original.ndim) if axis != dim)).flatten(1)
    return original / torch.dot(u, torch.mv(matrix, v))


def _unknown(home: str, name: str, state: Mapping[str, Tensor], where: str) -> CheckpointError:
    stem = f"{home}parametrizations.{name}."
    keys = ", ".join(k for k in state if k.startswith(stem))
    return CheckpointError(
        f"checkpoint '{where}' holds '{home}{name}' as a parametrisation whose class is not in the file"
        f" ({keys}); save the plain weights, after torch.nn.utils.parametrize.remove_parametrizations(module,"
        f" '{name}'), or apply the parametrisation in the model's builder."
    )

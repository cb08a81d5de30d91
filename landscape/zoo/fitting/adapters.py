"""Adapters: low-rank matrices put on the weights that a builder makes, without the library that trained them.

Hu et al. 2021, 'LoRA', section 4: W = W₀ + (α/r) B A; with rank-stabilised scaling (Kalajdzievski 2023,
theorem 3.2) α/√r.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from landscape.errors import CheckpointError
from landscape.zoo.fitting.fit import Loaded
from landscape.zoo.reading.parts import Adapter

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["put_on", "untouched"]

_WRAPPER = "base_model.model."
_PAIR = re.compile(r"(.+)\.lora_(embedding_)?([AB])(?:\.weight)?")
_OWN = re.compile(r"\.lora_|\.modules_to_save\.|lora_magnitude")


def put_on(model: nn.Module, state: Mapping[str, Tensor], adapter: Adapter, where: str) -> Loaded:
    """Put an adapter on a model that holds the base weights.

    Of a plain model its product is added to the weights. A model that the builder has wrapped with PEFT takes
    the matrices themselves.

    Args:
        model: As the builder makes it, base weights and all.
        state: The adapter's tensors.
        adapter: How they are put on.
        where: The file, for error messages.

    Raises:
        CheckpointError: If the adapter does not fit, or is of a kind whose mathematics are not known here.
    """
    wrapped = any(_OWN.search(name) for name in model.state_dict())
    changed = _into_wrapped(model, state, where) if wrapped else _onto_plain(model, state, adapter, where)
    base = f" ({adapter.base})" if adapter.base else ""
    return Loaded(note=f"an adapter of {changed} tensors on the base weights that the builder makes{base}")


def untouched(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's tensors that are its builder's own: all but those that come from the adapter whole."""
    given = {key.removeprefix(_WRAPPER) for key in state}
    return {
        name: v
        for name, v in model.state_dict().items()
        if name not in given and not _OWN.search(f".{name}") and "original_module" not in name
    }


def _into_wrapped(model: nn.Module, state: Mapping[str, Tensor], where: str) -> int:
    own = model.state_dict()
    given: dict[str, Tensor] = {}
    for key, tensor in state.items():
        head, _, last = key.rpartition(".")
        forms = (key, f"{head}.default.{last}", f"{key}.default", f"{head}.modules_to_save.default.{last}")
        fits = [f for f in (*forms, f"{head}.base_layer.{last}") if f in own and own[f].shape == tensor.shape]
        if not fits:
            raise CheckpointError(
                f"checkpoint '{where}' is an adapter that does not fit {type(model).__name__}: it has no"
                f" {key} of shape {tuple(tensor.shape)}."
            )
        # where both are there, the copy that was trained: the original beside it is the base's
        given[next((f for f in fits if "modules_to_save" in f), fits[0])] = tensor
    missing = [
        name for name in own if _OWN.search(name) and "original_module" not in name and name not in given
    ]
    if missing:
        raise CheckpointError(
            f"checkpoint '{where}' is an adapter that lacks {len(missing)} tensors of"
            f" {type(model).__name__} ({', '.join(missing[:3])})."
        )
    model.load_state_dict(given, strict=False)
    return len(given)


def _onto_plain(model: nn.Module, state: Mapping[str, Tensor], adapter: Adapter, where: str) -> int:
    if adapter.kind != "LORA" or any("magnitude" in key for key in state):
        raise CheckpointError(
            f"checkpoint '{where}' is an adapter of a kind that landscape does not put on itself"
            f" ({adapter.kind or 'unknown'}); have the builder wrap the model (peft.get_peft_model)."
        )
    own = model.state_dict()
    pairs: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = key.removeprefix(_WRAPPER)
        match = _PAIR.fullmatch(name)
        if match:
            pairs.setdefault(match[1], {})[f"{match[2] or ''}{match[3]}"] = tensor
        else:
            whole[name] = tensor
    unknown = [n for n in whole if n not in own or own[n].shape != whole[n].shape]
    unknown += [n for n in pairs if f"{n}.weight" not in own or len(pairs[n]) != 2]
    if unknown:
        raise CheckpointError(
            f"checkpoint '{where}' is an adapter that does not fit {type(model).__name__}: it has no"
            f" {unknown[0]}, or of another shape."
        )
    with torch.no_grad():
        for name, tensor in whole.items():
            own[name].copy_(tensor)
        for name, pair in pairs.items():
            weight = own[f"{name}.weight"]
            change = _product(pair, _is_transposed(model.get_submodule(name), adapter))
            if change.shape != weight.shape:
                raise CheckpointError(
                    f"checkpoint '{where}' is an adapter that does not fit {type(model).__name__}: {name} is"
                    f" {tuple(weight.shape)}, and its change {tuple(change.shape)}."
                )
            weight.add_((_scale(name, adapter) * change).to(weight.dtype))
    return len(pairs) + len(whole)


def _is_transposed(module: nn.Module, adapter: Adapter) -> bool:
    # GPT-2's layers keep (in, out), and PEFT sees that by their class, whatever the file says.
    return adapter.transposed or type(module).__name__ == "Conv1D"


def _product(pair: Mapping[str, Tensor], transposed: bool) -> Tensor:
    """B A in the shape of the weight, in float64."""
    if "embedding_A" in pair:  # (r, entries) and (width, r)
        return (pair["embedding_B"].double() @ pair["embedding_A"].double()).T
    a, b = pair["A"].double(), pair["B"].double()
    if a.ndim > 2:  # a convolution by A, then one of size 1 by B
        return torch.einsum("or,r...->o...", b.flatten(1), a)
    return (b @ a).T if transposed else b @ a


def _scale(name: str, adapter: Adapter) -> float:
    def of(patterns: tuple[tuple[str, float], ...] | tuple[tuple[str, int], ...], default: float) -> float:
        fits = (v for p, v in patterns if re.fullmatch(rf"(.*\.)?({p})", name))
        return float(next(fits, default))

    rank = of(adapter.ranks, adapter.rank)
    return of(adapter.alphas, adapter.alpha) / (rank**0.5 if adapter.by_root else rank)

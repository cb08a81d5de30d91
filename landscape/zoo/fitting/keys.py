"""Keys: the names of a file's tensors made those of a model, where they differ by wrappers and prefixes."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "best_prefix",
    "chosen_keys",
    "obsolete",
    "prefix_hint",
    "strip_prefixes",
    "unwrapped",
    "with_tied",
    "without_best_prefix",
]

State = dict[str, "Tensor"]

_PREFIXES = ("module.", "_orig_mod.")  # DataParallel and DistributedDataParallel; torch.compile
_WRAPPERS = ("_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")

# Buffers that models and tools kept in files once and do not any more: positions and masks that follow from a
# shape, and what counts operations beside each module.
_ONCE_SAVED = re.compile(
    r"(.*\.)?(position_ids|token_type_ids|inv_freq|masked_bias|attn_mask|relative_position_index|"
    r"relative_coords_table|num_batches_tracked|total_ops|total_params)"
)


def strip_prefixes(state: Mapping[str, Tensor]) -> State:
    """Drop ``module.`` and ``_orig_mod.``, also combined, where every key has them.

    Example:
        >>> strip_prefixes({"module._orig_mod.weight": 0, "module._orig_mod.bias": 1})
        {'weight': 0, 'bias': 1}
    """
    state = dict(state)
    while state:
        prefix = next((p for p in _PREFIXES if all(k.startswith(p) for k in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def chosen_keys(state: Mapping[str, Tensor], prefix: str, ignore: Sequence[str], where: str) -> State:
    """The tensors that a user chose: those whose names begin with a prefix, but for some globs.

    Args:
        state: Tensors by name.
        prefix: Taken off the names; empty for all tensors.
        ignore: Globs over the names as they are in the file.
        where: The file, for error messages.

    Raises:
        CheckpointError: If no name begins so.
    """
    kept = {k: v for k, v in state.items() if not any(fnmatch.fnmatchcase(k, glob) for glob in ignore)}
    if not prefix:
        return kept
    kept = {k.removeprefix(prefix): v for k, v in kept.items() if k.startswith(prefix)}
    if not kept:
        raise CheckpointError(f"checkpoint '{where}' has no keys that begin with '{prefix}'.")
    return kept


def unwrapped(own: Iterable[str], state: Mapping[str, Tensor]) -> State:
    """Names as the model has them, where wrappers of its parts are all that differs.

    A wrapper that the model has and the file has not is put in, one that the file alone has is dropped. Names
    that would no longer be different stay as they are.

    Example:
        >>> unwrapped(["features.0.w", "head.w"], {"features._orig_mod.0.w": 1, "module.head.w": 2})
        {'features.0.w': 1, 'head.w': 2}
        >>> unwrapped(["module.w", "v"], {"w": 1, "v": 2})
        {'module.w': 1, 'v': 2}
    """
    by_bare: dict[str, list[str]] = {}
    for key in own:
        by_bare.setdefault(_bare(key), []).append(key)
    known = {key for keys in by_bare.values() for key in keys}
    renamed: State = {}
    for key, value in state.items():
        candidates = by_bare.get(_bare(key), [_bare(key)])
        target = key if key in known or len(candidates) > 1 else candidates[0]
        if target in renamed:
            return dict(state)
        renamed[target] = value
    return renamed


def _bare(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS) or key


def without_best_prefix(own: Iterable[str], state: Mapping[str, Tensor]) -> State:
    """The tensors without what all names begin with, if most are the model's then."""
    prefix, _ = best_prefix(own, state)
    if not prefix or not all(k.startswith(prefix) for k in state):
        return dict(state)
    return {k.removeprefix(prefix): v for k, v in state.items()}


def best_prefix(own: Iterable[str], state: Iterable[str]) -> tuple[str, int]:
    """The beginning without which most keys of ``state`` are keys of ``own``, and how many are."""
    own = set(own)
    counts: Counter[str] = Counter()
    for key in state:
        places = [0, *(i + 1 for i, letter in enumerate(key) if letter == ".")]
        counts.update(key[:i] for i in places if key[i:] in own)
    return counts.most_common(1)[0] if counts else ("", 0)


def prefix_hint(own: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """What to do if keys differ by how they begin."""
    prefix, fitting = best_prefix(own, state)
    if prefix:
        return (
            f"; {fitting} of {len(own)} keys are there with '{prefix}' before them: if they are the model's,"
            f' set prefix = "{prefix}" in its [[checkpoints]], or for all under [problem]'
        )
    prefix, fitting = best_prefix(state, own)
    if prefix and fitting:
        return (
            f"; {fitting} keys of the model are there without '{prefix}': build the part of that name alone"
        )
    return ""


def with_tied(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> State:
    """Add keys that a file leaves out because they share their tensor with a key that it has."""
    filled = dict(state)
    # Tensors without entries share the address 0, and nothing else.
    by_tensor = {(own[k].data_ptr(), own[k].shape): k for k in own if k in state and own[k].numel() > 0}
    for key, tensor in own.items():
        twin = by_tensor.get((tensor.data_ptr(), tensor.shape))
        if key not in filled and twin is not None:
            filled[key] = state[twin]
    return filled


def obsolete(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Keys of a file that a model once had, and that decide nothing now.

    That is what the model itself keeps as a buffer that it does not save, and buffers that are known by their
    names or hold no numbers of floating point, in a module that the model has.

    Args:
        model: The model.
        state: Tensors by name.
    """
    own = set(model.state_dict())
    modules = {name for name, _ in model.named_modules()}
    unsaved = {name for name, _ in model.named_buffers()} - own
    found = []
    for key, tensor in state.items():
        if key in own:
            continue
        whole = not (tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized)
        at_home = key.rpartition(".")[0] in modules
        if key in unsaved or (at_home and (whole or _ONCE_SAVED.fullmatch(key))):
            found.append(key)
    return found

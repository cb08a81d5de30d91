"""Checkpoints: files of weights, read as data and never as programs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError, one_line
from landscape.zoo.reading.weights import State, read_whole, unreadable
from landscape.zoo.reparametrised import drop_counter, fold

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "SUFFIXES",
    "TRUST_WARNING",
    "file_sha256",
    "file_stamp",
    "load_checkpoint",
    "load_into",
    "read_checkpoint",
    "read_state",
    "strip_prefixes",
    "without_ending",
]

SUFFIXES = (".pt", ".pth", ".pth.tar", ".ckpt", ".bin", ".pkl", ".safetensors")
"""Endings of checkpoint files."""

TRUST_WARNING = "WARNING: pickles are trusted: loading a checkpoint may run ANY program hidden in it."

_PREFIXES = ("module.", "_orig_mod.")  # DataParallel and DistributedDataParallel; torch.compile
_SHOWN = 3


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        CheckpointError: If the file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def file_stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in ns of a file; zeros if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def load_checkpoint(path: str | Path, *, allow: Iterable[str] = (), trust_pickle: bool = False) -> State:
    """Read a state_dict from a file and strip wrapper prefixes from its keys.

    Args:
        path: A ``.safetensors`` file, or one of ``torch.save`` that holds a state_dict, plain or under
            ``state_dict``, ``model_state_dict`` or ``model``.
        allow: Dotted names that the pickle may import, one by one.
        trust_pickle: Run whatever the pickle says. It can run any program: only for your own files.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        CheckpointError: If the file is missing, damaged, no checkpoint, or names things that it may
            not import.
    """
    return strip_prefixes(read_state(Path(path), allow=allow, trust_pickle=trust_pickle))


def read_state(
    path: Path, *, allow: Iterable[str] = (), trust_pickle: bool = False, mmap: bool = False
) -> State:
    """As `load_checkpoint`, with the keys as they are in the file."""
    return read_checkpoint(path, allow=allow, trust_pickle=trust_pickle, mmap=mmap)[0]


def read_checkpoint(
    path: Path, *, allow: Iterable[str] = (), trust_pickle: bool = False, mmap: bool = False
) -> tuple[State, Mapping[Any, Any]]:
    """The state_dict of a file as it is there, and what the file holds beside it.

    Args:
        path: The file.
        allow: Dotted names that the pickle may import.
        trust_pickle: Run whatever the pickle says.
        mmap: Leave the tensors on disk until they are used (for a quick look).

    Returns:
        Tensors by name; and the other entries of the dictionary around them, if there is one.
    """
    read = read_whole(path, allow=allow, trust_pickle=trust_pickle, mmap=mmap)
    return read.state, read.beside


def without_ending(path: str) -> str:
    """A path without the ending of a checkpoint file, and whole if it has another.

    Example:
        >>> without_ending("a/last.pth.tar"), without_ending("epoch=3-val_loss=0.25")
        ('a/last', 'epoch=3-val_loss=0.25')
    """
    ending = max((e for e in SUFFIXES if path.endswith(e)), key=len, default="")
    return path.removesuffix(ending)


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


def load_into(model: nn.Module, state: Mapping[str, Tensor], where: str, prefix: str = "") -> str:
    """Load a state_dict strictly: every key must fit.

    Weights in a form of torch's own (pruning masks, spectral and weight normalisation), and averages with
    their counter, are made the plain weights of a plain model; see `landscape.zoo.reparametrised`.

    Args:
        model: The model to fill.
        state: Tensors by name; a prefix that all have and the model's keys lack is stripped, such as
            ``module.`` of a wrapper or ``model.`` of a Lightning module.
        where: The file, for error messages.
        prefix: Take only the keys that begin so, and strip it.

    Returns:
        What was made plain, and from what; empty if the file holds plain weights.

    Raises:
        CheckpointError: Naming the first missing, unexpected and mis-shaped keys, with counts.
    """
    own = model.state_dict()
    if prefix:
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if not state:
            raise CheckpointError(f"checkpoint '{where}' has no keys that begin with '{prefix}'.")
    made = ["", ""]
    # Only where keys do not fit as they are: names of a model's own may begin like a wrapper's.
    if set(state) != set(own):
        state, made[0] = drop_counter(state, own)
        state = state if prefix else strip_prefixes(state)
        state, made[1] = fold(model, state, where)
    if not prefix and set(state) != set(own):
        wrapper, _ = _best_prefix(own, state)
        if all(k.startswith(wrapper) for k in state):
            state = {k.removeprefix(wrapper): v for k, v in state.items()}
    state = _with_tied(own, state)
    missing = [k for k in own if k not in state]
    unexpected = [k for k in state if k not in own]
    shapes = [
        f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}"
        for k in own
        if k in state and hasattr(own[k], "shape") and state[k].shape != own[k].shape
    ]
    parts = [_some(kind, keys) for kind, keys in (("missing", missing), ("unexpected", unexpected))]
    parts += [_some("mis-shaped", shapes)]
    if any(parts):
        raise CheckpointError(
            f"checkpoint '{where}' does not fit {type(model).__name__}: {'; '.join(p for p in parts if p)}"
            f"{_prefix_hint(own, state)}."
        )
    from landscape.core.problem.private_model import fill  # here, so that listing needs no torch

    try:
        fill(model, state)
    except Exception as error:
        raise CheckpointError(
            f"checkpoint '{where}' does not fit {type(model).__name__}: {one_line(error)}."
        ) from error
    return "; ".join(filter(None, made))


def _best_prefix(own: Iterable[str], state: Iterable[str]) -> tuple[str, int]:
    """The beginning without which most keys of ``state`` are keys of ``own``, and how many are."""
    own = set(own)
    counts: Counter[str] = Counter()
    for key in state:
        places = [0, *(i + 1 for i, letter in enumerate(key) if letter == ".")]
        counts.update(key[:i] for i in places if key[i:] in own)
    return counts.most_common(1)[0] if counts else ("", 0)


def _prefix_hint(own: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """What to do if keys differ by how they begin."""
    prefix, fitting = _best_prefix(own, state)
    if prefix:
        return (
            f"; {fitting} of {len(own)} keys are there with '{prefix}' before them: if they are the model's,"
            f' set prefix = "{prefix}" under [problem]'
        )
    prefix, fitting = _best_prefix(state, own)
    if prefix and fitting:
        return (
            f"; {fitting} keys of the model are there without '{prefix}': build the part of that name alone"
        )
    return ""


def _with_tied(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> State:
    """Add keys that a file leaves out because they share their tensor with a key that it has."""
    filled = dict(state)
    # Tensors without entries share the address 0, and nothing else.
    by_tensor = {(own[k].data_ptr(), own[k].shape): k for k in own if k in state and own[k].numel() > 0}
    for key, tensor in own.items():
        twin = by_tensor.get((tensor.data_ptr(), tensor.shape))
        if key not in filled and twin is not None:
            filled[key] = state[twin]
    return filled


def _some(kind: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = ", ..." if len(keys) > _SHOWN else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:_SHOWN])}{more})"

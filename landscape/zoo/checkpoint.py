"""Checkpoints: files of weights, read as data and never as programs."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError
from landscape.zoo.pickles import unsafe_globals
from landscape.zoo.text import one_line

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "SUFFIXES",
    "TRUST_WARNING",
    "file_sha256",
    "load_checkpoint",
    "load_into",
    "read_state",
    "strip_prefixes",
]

State = dict[str, "Tensor"]

SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
"""Endings of checkpoint files."""

TRUST_WARNING = "WARNING: pickles are trusted: loading a checkpoint may run ANY program hidden in it."

_NESTED = ("state_dict", "model_state_dict", "model")
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
        raise _unreadable(path, error) from error


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
    """As `load_checkpoint`, with the keys as they are in the file.

    Args:
        path: The file.
        allow: Dotted names that the pickle may import.
        trust_pickle: Run whatever the pickle says.
        mmap: Leave the tensors on disk until they are used (for a quick look).
    """
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"checkpoint '{path}' {reason}.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"checkpoint '{path}' is empty (0 bytes).")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    content = _read_pickle(path, list(allow), trust_pickle, mmap)
    return _unwrap(path, content)


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


def load_into(model: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load a state_dict strictly: every key must fit.

    Args:
        model: The model to fill.
        state: Tensors by name; wrapper prefixes are stripped if the model has no such keys.
        where: The file, for error messages.

    Raises:
        CheckpointError: Naming the first missing, unexpected and mis-shaped keys, with counts.
    """
    own = model.state_dict()
    if set(state) != set(own):
        state = strip_prefixes(state)
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
            f"checkpoint '{where}' does not fit {type(model).__name__}: {'; '.join(p for p in parts if p)}."
        )
    try:
        model.load_state_dict(state)
    except Exception as error:
        raise CheckpointError(
            f"checkpoint '{where}' does not fit {type(model).__name__}: {one_line(error)}."
        ) from error


def _with_tied(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> State:
    """Add keys that a file leaves out because they share their tensor with a key that it has."""
    filled = dict(state)
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


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: State = load_file(path, device="cpu")
    except OSError as error:
        raise _unreadable(path, error) from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    if not state:
        raise CheckpointError(f"checkpoint '{path}' holds no tensors.")
    return state


def _read_pickle(path: Path, allow: list[str], trust: bool, mmap: bool) -> Any:
    import torch

    with path.open("rb") as file:
        start = file.read(2)
    if start != b"PK" and start[:1] != b"\x80":
        raise CheckpointError(f"'{path}' is not a checkpoint: no file of torch.save begins like this.")
    mmap = mmap and start == b"PK"
    named: list[Any] = [(_import(name, path), name) for name in allow]
    try:
        with torch.serialization.safe_globals(named):
            return torch.load(path, map_location="cpu", weights_only=not trust, mmap=mmap)
    except OSError as error:
        raise _unreadable(path, error) from error
    except Exception as error:
        if "TorchScript" in str(error):
            raise CheckpointError(
                f"'{path}' is a TorchScript archive; save the model's state_dict instead."
            ) from error
        refused = [] if trust else [n for n in unsafe_globals(path) if n not in allow]
        if not refused:
            raise _damaged(path, error) from error
        names = ", ".join(refused)
        listed = ", ".join(f'"{n}"' for n in refused)
        raise CheckpointError(
            f"checkpoint '{path}' is refused: its pickle wants to import {names}, which could run any"
            f" program; if you trust the file, allow the names one by one (allow = [{listed}] under"
            " [problem] in the manifest) or pass --trust-pickle."
        ) from error


def _import(name: str, path: Path) -> Callable[..., Any]:
    """The object that an allowed name stands for."""
    module, _, attribute = name.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"'{name}', allowed for checkpoint '{path}', cannot be imported: {one_line(error)}."
        ) from error
    return found


def _unwrap(path: Path, content: Any) -> State:
    """The state_dict within what a file holds."""
    import torch

    while True:
        if isinstance(content, torch.nn.Module):
            content = content.state_dict()
        if not isinstance(content, Mapping):
            raise CheckpointError(f"checkpoint '{path}' holds a {type(content).__name__}, not a state_dict.")
        nested = next((k for k in _NESTED if isinstance(content.get(k), Mapping | torch.nn.Module)), None)
        if nested is None:
            break
        content = content[nested]
    state = {k: v.detach() for k, v in content.items() if isinstance(v, torch.Tensor)}
    if not state:
        keys = ", ".join(str(k) for k in list(content)[:_SHOWN]) or "none"
        raise CheckpointError(
            f"checkpoint '{path}' holds no tensors at its top level or under {', '.join(_NESTED)}"
            f" (keys: {keys})."
        )
    odd = next((k for k in state if not isinstance(k, str)), None)
    if odd is not None:
        raise CheckpointError(
            f"checkpoint '{path}' is not a state_dict: its keys are not all names ({odd!r})."
        )
    return state


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    reason = "does not exist" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
    if reason == "does not exist":
        return CheckpointError(f"checkpoint '{path}' does not exist.")
    return CheckpointError(f"checkpoint '{path}' cannot be read: {reason}.")


def _damaged(path: Path, error: Exception) -> CheckpointError:
    detail = re.split(r"[.;] ", one_line(error), maxsplit=1)[0]
    return CheckpointError(
        f"checkpoint '{path}' is truncated or damaged" + (f" ({detail})." if detail else ".")
    )

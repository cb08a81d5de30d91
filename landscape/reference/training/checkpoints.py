"""Checkpoint files of the reference zoo: written whole or not at all, and holding no code."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from landscape.errors import CheckpointError, InputError, StoreError, reason

__all__ = [
    "load_parent",
    "load_state",
    "load_weights",
    "read_notes",
    "save_kept",
    "save_state",
    "save_weights",
    "write_atomically",
]

NOTES_KEY = "landscape"  # one metadata entry: safetensors writes several in random order


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any instant it is absent, the old one, or complete.

    Raises:
        StoreError: If it cannot be written; no partial file stays.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                # Else, after a power cut, the new name may stand for an empty file.
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(
            f"Cannot write {path} ({error.strerror}): choose a directory that is writable and has space left."
        ) from error


def save_weights(model: nn.Module, path: Path, notes: Mapping[str, Any]) -> None:
    """Save the state_dict as safetensors, with `notes` as JSON in its metadata.

    The same weights and notes give the same bytes.
    """
    tensors = {
        # safetensors refuses tensors that share memory, such as tied weights, or are not contiguous.
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    write_atomically(path, save(tensors, {NOTES_KEY: json.dumps(notes, sort_keys=True)}))


def save_kept(model: nn.Module, solver: torch.optim.Optimizer, path: Path, notes: Mapping[str, Any]) -> None:
    """Save the weights, and into a ``.pt`` file the optimiser's state beside them, with `notes`."""
    if path.suffix == ".pt":
        save_state({"model": model.state_dict(), "optimizer": solver.state_dict(), **notes}, path)
    else:
        # What a method has learnt is no JSON; a branch needs the optimiser's state anyway.
        save_weights(model, path, {name: note for name, note in notes.items() if name != "objective"})


def load_parent(path: Path, device: torch.device, epochs: int, keep: Sequence[int]) -> dict[str, Any]:
    """What `save_kept` saved with the optimiser's state, for a training that goes on from there.

    Args:
        path: A ``.pt`` file.
        device: Where its tensors go.
        epochs: Of the training that goes on.
        keep: Epochs that it keeps.

    Raises:
        InputError: If there is no such file, nothing is left to train, or an epoch to keep is over.
        CheckpointError: If it is damaged.
    """
    state = load_state(path, device) if path.suffix == ".pt" else None
    if state is None or not {"model", "optimizer", "epoch", "identity"} <= state.keys():
        raise InputError(
            f"train: '{path}' is no epoch of a training that kept its optimiser; train the parent with keep="
            " and keep_optimizer=True, and give one of its .pt files."
        )
    if not state["epoch"] < epochs:
        raise InputError(
            f"train: '{path}' is at epoch {state['epoch']}, so that nothing is left of {epochs} epochs."
        )
    if any(epoch < state["epoch"] for epoch in keep):
        raise InputError(
            f"train: '{path}' is at epoch {state['epoch']}, so that of {list(keep)} only that and later ones"
            " can be kept."
        )
    return state


def load_weights(model: nn.Module, path: Path) -> None:
    """Load into `model` what `save_weights` saved from a model of the same shape."""
    model.load_state_dict(load_file(path))


def read_notes(path: Path) -> dict[str, Any] | None:
    """The notes of a file that `save_weights` or `save_kept` wrote; None if it is absent or holds none.

    Raises:
        CheckpointError: If the file is damaged.
    """
    if not path.exists():
        return None
    if path.suffix == ".pt":
        return load_state(path, torch.device("cpu"))
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged ({error}): delete it to train it again.") from error
    if NOTES_KEY not in metadata:
        return None
    notes: dict[str, Any] = json.loads(metadata[NOTES_KEY])
    return notes


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Save the state of a training in progress (tensors, numbers, strings, containers)."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path, device: torch.device) -> dict[str, Any] | None:
    """What `save_state` saved; None if the file is absent. Code in the file is never run.

    Raises:
        CheckpointError: If the file is damaged.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # torch documents no common class for what a damaged file raises
        if _is_whole(path):
            raise CheckpointError(
                f"{path}, the state of a training in progress, is whole, but cannot be loaded here:"
                f" {reason(error)}"
            ) from error
        raise CheckpointError(
            f"{path}, the state of a training in progress, is damaged: "
            "delete it to start this training again."
        ) from error
    return state


def _is_whole(path: Path) -> bool:
    """Whether the parts of an archive have the sums that its directory gives."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError):
        return False

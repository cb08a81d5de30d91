"""Arguments of a builder that checkpoints tell: the number of classes, and what Lightning kept."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from landscape.errors import CheckpointError, InputError
from landscape.zoo.builders import resolve
from landscape.zoo.checkpoint import read_checkpoint
from landscape.zoo.layouts.side_files import json_of
from landscape.zoo.reading.stubs import attributes
from landscape.zoo.spec import Builder, Model

__all__ = ["classes_of", "completed"]

_USUAL_CLASSES = 1000  # of timm's and torchvision's models
# What a LightningModule takes beside its architecture. Models that differ in it alone are of one builder.
_OF_TRAINING = {
    "lr",
    "learning_rate",
    "weight_decay",
    "wd",
    "momentum",
    "seed",
    "optimizer",
    "opt",
    "scheduler",
}
_OF_TRAINING |= {
    "epochs",
    "max_epochs",
    "batch_size",
    "warmup",
    "warmup_steps",
    "betas",
    "data_dir",
    "num_workers",
}


def completed(model: Model, folder: Path, allow: Sequence[str] = ()) -> Model:
    """A model whose builder the user named, with the arguments that its checkpoint tells.

    Of a model of timm's or torchvision's that is the number of classes, the rows of the last layer; of a
    checkpoint of Lightning's, what ``save_hyperparameters`` kept that the named class or function takes.

    Args:
        model: With its builder; one that has arguments already stays as it is.
        folder: Where the user's modules are.
        allow: Names that pickles may import.
    """
    builder = model.made_by
    if builder.kwargs:
        return model
    library = builder.reference.partition(":")[0]
    if library in ("timm", "torchvision"):
        rows = _rows(model, allow)
        return model if rows in (None, _USUAL_CLASSES) else _with(model, {"num_classes": rows})
    if model.path.suffix != ".ckpt":
        return model
    kept = _kept(model, allow)
    return _with(model, _taken(builder, kept, folder)) if kept else model


def _with(model: Model, kwargs: Mapping[str, Any]) -> Model:
    return replace(model, builder=Builder(model.made_by.reference, kwargs))


def _rows(model: Model, allow: Sequence[str]) -> int | None:
    """The outputs of the last layer, in the order of the file; ``None`` if it cannot be told."""
    try:
        state, _ = read_checkpoint(model.path, allow=allow, mmap=True)
    except CheckpointError:
        return None
    last = next(
        (t for name, t in reversed(state.items()) if name.endswith((".weight", ".bias")) and t.ndim), None
    )
    return None if last is None else int(last.shape[0])


def _kept(model: Model, allow: Sequence[str]) -> dict[str, Any]:
    """The plain values among the hyperparameters of a checkpoint of Lightning's."""
    try:
        _, beside = read_checkpoint(model.path, allow=allow, mmap=True)
    except CheckpointError:
        return {}
    held = attributes(beside.get("hyper_parameters")) or {}
    return {str(k): v for k, v in held.items() if _is_plain(v)}


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str)


def _taken(builder: Builder, kept: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Of some values, those that a function takes and needs."""
    try:
        takes = inspect.signature(resolve(builder.reference, folder, "model builder")).parameters
    except (InputError, TypeError, ValueError):  # said when it is called
        return {}
    out = {}
    for name, value in kept.items():
        known = takes.get(name)
        if known is None or (name in _OF_TRAINING and known.default is not inspect.Parameter.empty):
            continue
        out[name] = value
    return out


def classes_of(models: Sequence[Model], folder: Path) -> list[str]:
    """Names of the classes that the models' own files give, where a folder of pictures has none but these.

    Args:
        models: Those with a ``config.json`` beside them have names.
        folder: Its folders are the classes; if one is none of the models' classes, their order is that of the
            folders.
    """
    from landscape.zoo.described.transformers import labels_in

    found = [labels_in(json_of(m.path.parent / "config.json") or {}) for m in models]
    if not found or not found[0] or any(f != found[0] for f in found) or not folder.is_dir():
        return []
    names = {p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")}
    # A part of the classes has numbers of its own in the order of the folders, even where all are sorted.
    return list(found[0]) if names and names <= set(found[0]) and sorted(names) != list(found[0]) else []

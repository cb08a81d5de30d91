"""Reading data by name: inputs and targets of as many examples as are asked for, and no more."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from landscape.errors import InputError, suggest
from landscape.zoo.sources.arrays import from_npy, from_npz, from_pt
from landscape.zoo.sources.examples import Asked, Named, pictures, sample_order, table
from landscape.zoo.sources.images import Progress, find_pictures, opened
from landscape.zoo.sources.libraries import of_datasets, of_torchvision
from landscape.zoo.sources.names import source_of
from landscape.zoo.sources.preprocess import Preprocess, in_words, prepared
from landscape.zoo.sources.tables import columns_of

if TYPE_CHECKING:
    from landscape.base.params import Params

P = TypeVar("P", bound="Params")

_MOST_NAMES = 1000  # of classes, in a result

__all__ = ["Named", "facts_of", "named_data", "sample_order", "with_pixel_scale"]


def named_data(
    reference: str,
    folder: Path,
    *,
    examples: int | None = None,
    preprocess: Mapping[str, Any] | None = None,
    classes: Sequence[str] | None = None,
    progress: Progress | None = None,
    **kwargs: Any,
) -> Named:
    """Read data by name. Nothing is downloaded unless ``download = true`` says so, and nothing is run.

    Args:
        reference: See `landscape.zoo.sources.names.source_of`.
        folder: What paths are relative to.
        examples: How many, of a fixed random order; ``None`` for all, in their own.
        preprocess: See `Preprocess`.
        classes: Names of the classes in the order of the model's outputs; by default as the data has them.
        progress: Told how many examples are decoded, and of how many.
        **kwargs: What the kind of source takes besides.

    Raises:
        InputError: If it is not there or cannot be used.
    """
    named = source_of(reference)
    assert named is not None, reference
    kind, place = named
    read = _READERS[kind]
    known = [p for p in inspect.signature(read).parameters if p != "asked"]
    for name in kwargs:
        if name not in known:
            raise InputError(f"data '{reference}' takes no '{name}'; {suggest(name, known)}")
    how = Preprocess.check(preprocess or {}, f"preprocessing of data '{reference}'")
    return read(Asked(reference, place, folder, examples, how, classes, progress), **kwargs)


def facts_of(reference: str, named: Named) -> dict[str, str]:
    """Where the data of a result comes from, and how it was prepared, as attributes of the result."""
    part = "all" if named.count == named.of else f"{named.count} of"
    facts = {"data_source": f"{reference}, {part} {named.of} examples"}
    if named.how is not None:
        facts["preprocessing"] = in_words(named.how)
    if named.classes:
        facts["classes"] = json.dumps(named.classes[:_MOST_NAMES], ensure_ascii=False)
    return facts


def with_pixel_scale(params: P, named: Named | None) -> P:
    """Options whose mean and standard deviation of pixels are those that the data was prepared with.

    Options that have none, or that say others, stay as they are.
    """
    fields = type(params).model_fields
    how = None if named is None else named.how
    if how is None or not how.mean or not {"mean", "std"} <= set(fields):
        return params
    if any(getattr(params, name) != fields[name].default for name in ("mean", "std")):
        return params
    return params.model_copy(update={"mean": how.mean, "std": how.std})


def _imagefolder(asked: Asked) -> Named:
    found = find_pictures(asked.path, asked.classes, asked.place.rstrip("/"))
    return pictures(asked, len(found.files), lambda i: opened(found.files[i]), found.labels, found.classes)


def _arrays(asked: Asked, x: Any, y: Any) -> Named:
    inputs, targets = np.asarray(x), np.asarray(y)
    if targets.ndim == 2 and targets.shape[1] == 1:  # labels as a column, as Keras keeps them
        targets = targets[:, 0]
    if not inputs.ndim or not targets.ndim or len(inputs) != len(targets):
        raise InputError(
            f"{asked.where}: inputs {inputs.shape} and targets {targets.shape} differ in length."
        )
    order = asked.order(len(inputs))
    whole = len(order) == len(inputs)
    inputs, targets = (inputs, targets) if whole else (inputs[order], targets[order])
    if targets.dtype.kind in "ui":
        targets = targets.astype(np.int64)
    inputs, targets = (a.astype(np.float32) if a.dtype == np.float64 else a for a in (inputs, targets))
    how = asked.how if inputs.dtype == np.uint8 else None
    made = prepared(inputs, asked.how, asked.where), targets
    return Named(made, len(order), len(y), tuple(asked.classes or ()), how)


def _npz(asked: Asked, x: str | None = None, y: str | None = None) -> Named:
    return _arrays(asked, *from_npz(asked.path, x, y))


def _npy(asked: Asked, y: str | None = None) -> Named:
    return _arrays(asked, *from_npy(asked.path, y, asked.folder))


def _pt(asked: Asked, x: str | None = None, y: str | None = None) -> Named:
    return _arrays(asked, *from_pt(asked.path, x, y))


def _table(kind: str, asked: Asked, x: str | list[str] | None = None, y: str | None = None) -> Named:
    return table(asked, columns_of(kind, asked.path), x, y)


def _csv(asked: Asked, x: str | list[str] | None = None, y: str | None = None) -> Named:
    return _table("csv", asked, x, y)


def _parquet(asked: Asked, x: str | list[str] | None = None, y: str | None = None) -> Named:
    return _table("parquet", asked, x, y)


def _torchvision(asked: Asked, root: str = "", download: bool = False, split: str = "test") -> Named:
    return of_torchvision(asked, root, download, split)


def _hf(
    asked: Asked,
    split: str | None = None,
    config: str | None = None,
    x: str | None = None,
    y: str | None = None,
    download: bool = False,
) -> Named:
    return of_datasets(asked, split, config, x, y, download)


_READERS: dict[str, Callable[..., Named]] = {
    "imagefolder": _imagefolder,
    "torchvision": _torchvision,
    "hf": _hf,
    "npz": _npz,
    "npy": _npy,
    "pt": _pt,
    "csv": _csv,
    "parquet": _parquet,
}

"""Reading data by name: inputs and targets of as many examples as are asked for, and no more."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from landscape.errors import InputError, suggest
from landscape.zoo.sources.arrays import from_npy, from_npz, from_pt
from landscape.zoo.sources.images import Progress, decoded, find_pictures, opened
from landscape.zoo.sources.names import source_of
from landscape.zoo.sources.preprocess import Preprocess, check_known, in_words, prepared
from landscape.zoo.sources.tables import columns_of, inputs_and_targets, labelled, numbers

if TYPE_CHECKING:
    from PIL.Image import Image

    from landscape.base.params import Params

P = TypeVar("P", bound="Params")

_MOST_NAMES = 1000  # of classes, in a result

__all__ = ["Named", "facts_of", "named_data", "sample_order", "with_pixel_scale"]


@dataclass(frozen=True)
class Named:
    """Data by name.

    Attributes:
        data: What a problem takes: inputs and targets, or a mapping with ``labels``.
        count: How many examples are in it.
        of: How many examples there are to take from.
        classes: Names of the classes by their numbers; empty if they have none.
        how: How pictures or texts were made into inputs; ``None`` for numbers, which are as they are.
    """

    data: Any
    count: int
    of: int
    classes: tuple[str, ...] = ()
    how: Preprocess | None = None


@dataclass(frozen=True)
class _Asked:
    """What is asked of a source: how many examples, made into inputs in which way."""

    where: str
    place: str
    folder: Path
    examples: int | None
    how: Preprocess
    classes: Sequence[str] | None
    progress: Progress | None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def order(self, count: int) -> np.ndarray[Any, Any]:
        return sample_order(count, self.examples)

    @property
    def path(self) -> Path:
        return self.folder / Path(self.place).expanduser()


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
    return read(_Asked(reference, place, folder, examples, how, classes, progress), **kwargs)


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


def sample_order(count: int, examples: int | None) -> np.ndarray[Any, Any]:
    """Which examples are taken: the first of a fixed random order, or all in their own.

    A smaller sample is part of a larger one.

    Example:
        >>> set(sample_order(100, 10)) < set(sample_order(100, 20)), list(sample_order(3, None))
        (True, [0, 1, 2])
    """
    if examples is None or examples >= count:
        return np.arange(count)
    return np.random.default_rng(0).permutation(count)[:examples]


def pictures(
    asked: _Asked, count: int, picture: Callable[[int], Image], labels: Sequence[int], classes: Sequence[str]
) -> Named:
    """Data of pictures of which each can be had by its number."""
    check_known(asked.how, asked.where)
    order = asked.order(count)
    inputs = decoded(len(order), lambda i: picture(int(order[i])), asked.how, asked.progress)
    targets = np.asarray([labels[i] for i in order], np.int64)
    return Named((inputs, targets), len(order), count, tuple(classes), asked.how)


def _imagefolder(asked: _Asked) -> Named:
    found = find_pictures(asked.path, asked.classes, asked.place.rstrip("/"))
    return pictures(asked, len(found.files), lambda i: opened(found.files[i]), found.labels, found.classes)


def _arrays(asked: _Asked, x: Any, y: Any) -> Named:
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


def _npz(asked: _Asked, x: str | None = None, y: str | None = None) -> Named:
    return _arrays(asked, *from_npz(asked.path, x, y))


def _npy(asked: _Asked, y: str | None = None) -> Named:
    return _arrays(asked, *from_npy(asked.path, y, asked.folder))


def _pt(asked: _Asked, x: str | None = None, y: str | None = None) -> Named:
    return _arrays(asked, *from_pt(asked.path, x, y))


def table(
    asked: _Asked,
    columns: Mapping[str, Sequence[Any]],
    x: str | Sequence[str] | None,
    y: str | None,
) -> Named:
    """Data of a table: texts with the tokenizer, paths of pictures, or columns of numbers."""
    inputs, target = inputs_and_targets(columns, x, y, asked.where)
    labels, names = labelled(columns[target], asked.classes, asked.where)
    classes = tuple(names or asked.classes or ())
    order = asked.order(len(labels))
    if not isinstance(inputs, str):
        rows = {name: [columns[name][i] for i in order] for name in inputs}
        return Named((numbers(rows, inputs, asked.where), labels[order]), len(order), len(labels), classes)
    values = [str(columns[inputs][i]) for i in order]
    from landscape.zoo.sources.images import ENDINGS

    if all(v.lower().endswith(ENDINGS) for v in values):
        check_known(asked.how, asked.where)
        home = asked.path.parent
        files = [str(home / v) for v in values]
        found = decoded(len(files), lambda i: opened(files[i]), asked.how, asked.progress)
        return Named((found, labels[order]), len(order), len(labels), classes, asked.how)
    from landscape.zoo.sources.texts import tokens

    data = tokens(values, asked.how, asked.folder, asked.where)
    return Named({**data, "labels": labels[order]}, len(order), len(labels), classes, asked.how)


def _table(kind: str, asked: _Asked, x: str | list[str] | None = None, y: str | None = None) -> Named:
    return table(asked, columns_of(kind, asked.path), x, y)


def _csv(asked: _Asked, x: str | list[str] | None = None, y: str | None = None) -> Named:
    return _table("csv", asked, x, y)


def _parquet(asked: _Asked, x: str | list[str] | None = None, y: str | None = None) -> Named:
    return _table("parquet", asked, x, y)


def _torchvision(asked: _Asked, root: str = "", download: bool = False, split: str = "test") -> Named:
    from landscape.zoo.sources.libraries import of_torchvision

    return of_torchvision(asked, root, download, split)


def _hf(
    asked: _Asked,
    split: str | None = None,
    config: str | None = None,
    x: str | None = None,
    y: str | None = None,
    download: bool = False,
) -> Named:
    from landscape.zoo.sources.libraries import of_datasets

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

"""Examples of data by name: how many of how many, pictures decoded, tables read into inputs and targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.zoo.sources.images import ENDINGS, Progress, decoded, opened
from landscape.zoo.sources.preprocess import Preprocess, check_known
from landscape.zoo.sources.tables import inputs_and_targets, labelled, numbers
from landscape.zoo.sources.texts import tokens

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Asked", "Named", "pictures", "sample_order", "table"]


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
class Asked:
    """What is asked of a source: how many examples, made into inputs in which way."""

    where: str
    place: str
    folder: Path
    examples: int | None
    how: Preprocess
    classes: Sequence[str] | None
    progress: Progress | None

    def order(self, count: int) -> np.ndarray[Any, Any]:
        """Which of so many examples are taken."""
        return sample_order(count, self.examples)

    @property
    def path(self) -> Path:
        """The file or folder."""
        return self.folder / Path(self.place).expanduser()


def sample_order(count: int, examples: int | None) -> np.ndarray[Any, Any]:
    """Which examples are taken: the first of a fixed random order, or all in their own.

    A smaller sample is part of a larger one.

    Example:
        >>> set(sample_order(100, 10)) < set(sample_order(100, 20)), sample_order(3, None).tolist()
        (True, [0, 1, 2])
    """
    if examples is None or examples >= count:
        return np.arange(count)
    return np.random.default_rng(0).permutation(count)[:examples]


def pictures(
    asked: Asked, count: int, picture: Callable[[int], Image], labels: Sequence[int], classes: Sequence[str]
) -> Named:
    """Data of pictures of which each can be had by its number."""
    check_known(asked.how, asked.where)
    order = asked.order(count)
    inputs = decoded(len(order), lambda i: picture(int(order[i])), asked.how, asked.progress)
    targets = np.asarray([labels[i] for i in order], np.int64)
    return Named((inputs, targets), len(order), count, tuple(classes), asked.how)


def table(
    asked: Asked,
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
    if all(v.lower().endswith(ENDINGS) for v in values):
        check_known(asked.how, asked.where)
        home = asked.path.parent
        files = [str(home / v) for v in values]
        found = decoded(len(files), lambda i: opened(files[i]), asked.how, asked.progress)
        return Named((found, labels[order]), len(order), len(labels), classes, asked.how)
    data = tokens(values, asked.how, asked.folder, asked.where)
    return Named({**data, "labels": labels[order]}, len(order), len(labels), classes, asked.how)

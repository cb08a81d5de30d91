"""Pictures in folders, one folder for each class; only those that are used are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.errors import InputError, one_line
from landscape.zoo.sources.preprocess import Preprocess

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ENDINGS", "Folder", "decoded", "find_pictures"]

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
"""Endings of pictures."""

_SPLITS = ("val", "valid", "validation", "test", "train")
_WORKERS = 8
_MOST_PIXELS = 100_000_000  # of one picture: a file of a few bytes may claim to be of any size

Progress = Callable[[int, int], None]


class Folder:
    """The pictures of a folder.

    Attributes:
        files: Paths, by class and name.
        labels: The class of each.
        classes: Names of the classes.
    """

    def __init__(self, files: Sequence[str], labels: Sequence[int], classes: Sequence[str]) -> None:
        self.files, self.labels, self.classes = files, labels, classes


def find_pictures(folder: Path, classes: Sequence[str] | None = None, shown: str = "") -> Folder:
    """The pictures below the folders of a folder, whose names are the classes, in the order of the names.

    Args:
        folder: Where they are.
        classes: The classes in the order of the model's outputs, if that is another one.
        shown: The folder as the user names it, for error messages.

    Raises:
        InputError: If there are none, or a folder is none of the classes.
    """
    shown = shown or str(folder)
    if not folder.is_dir():
        raise InputError(f"imagefolder:{shown}: there is no such folder; name one of folders of pictures.")
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    splits = [name for name in _SPLITS if name in names]
    if splits and not any(_pictures(folder / name, deep=False) for name in names):
        raise InputError(
            f"imagefolder:{shown} holds {' and '.join(f'{s}/' for s in splits)} rather than folders of"
            f" classes; name one: --data imagefolder:{shown}/{splits[0]}"
        )
    order = list(classes) if classes else names
    unknown = [name for name in names if name not in order]
    if unknown:
        raise InputError(
            f"imagefolder:{shown}: folder '{unknown[0]}' is none of the {len(order)} classes of the model"
            f" ({', '.join(order[:3])}, ...); rename the folders, or give their order as classes."
        )
    files: list[str] = []
    labels: list[int] = []
    kept: list[str] = []
    for name in names:
        found = _pictures(folder / name)
        if not found:
            continue  # as torchvision would refuse; an empty class changes no number of the others
        kept.append(name)
        files += found
        labels += [order.index(name)] * len(found)
    if not files:
        raise InputError(
            f"imagefolder:{shown} holds no pictures in folders of classes (DIR/CLASS/PICTURE.jpg); name such"
            " a folder."
        )
    return Folder(files, labels, order)


def _pictures(folder: Path, deep: bool = True) -> list[str]:
    found: list[str] = []
    for home, below, names in os.walk(folder):
        below[:] = sorted(d for d in below if not d.startswith(".")) if deep else []
        found += [
            os.path.join(home, n)  # noqa: PTH118 - a path object each for a million files takes seconds
            for n in sorted(names)
            if n.lower().endswith(ENDINGS) and not n.startswith(".")
        ]
    return found


def opened(file: str) -> Image:
    """A picture, read whole; not turned as its camera says, as the loaders of torchvision and timm do not.

    Raises:
        InputError: If it cannot be read, or is larger than any photograph.
    """
    from PIL import Image

    try:
        with Image.open(file) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise InputError(f"picture '{file}' has {picture.width} x {picture.height} pixels: too many.")
            picture.load()  # the pixels stay when the file is closed
            return picture.convert("RGBA") if picture.mode == "P" else picture
    except InputError:
        raise
    except Exception as error:  # whatever a decoder raises on a damaged file
        raise InputError(f"picture '{file}' cannot be read: {one_line(error)}.") from error


def decoded(
    count: int, picture: Callable[[int], Image], how: Preprocess, progress: Progress | None = None
) -> np.ndarray[Any, Any]:
    """Pictures as one array (B, C, H, W), decoded by as many threads as this process has for computing.

    Args:
        count: How many.
        picture: Gives the i-th.
        how: Makes inputs of them.
        progress: Told how many are done, and of how many.

    Raises:
        InputError: If one cannot be read, or they come out in different shapes.
    """
    import torch

    def one(i: int) -> np.ndarray[Any, Any]:
        return how(picture(i))

    first = one(0)
    out = np.empty((count, *first.shape), np.float32)
    with ThreadPoolExecutor(min(_WORKERS, torch.get_num_threads())) as pool:
        for i, array in enumerate(pool.map(one, range(count))):
            if array.shape != first.shape:
                raise InputError(
                    f"the pictures differ in shape ({_shape(first)} and {_shape(array)} channels x pixels),"
                    " and nothing says what size the models want; give --size 224 ([data] size = 224)."
                )
            out[i] = array
            if progress is not None:
                progress(i + 1, count)
    return out


def _shape(array: np.ndarray[Any, Any]) -> str:
    return " x ".join(map(str, array.shape))

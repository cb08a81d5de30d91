"""Arrays of files: ``npz:``, ``npy:`` and ``pt:``, read as data and never as programs."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landscape.errors import InputError, one_line

__all__ = ["INPUTS", "TARGETS", "chosen", "from_npy", "from_npz", "from_pt"]

INPUTS = (
    "x",
    "inputs",
    "input",
    "images",
    "image",
    "data",
    "features",
    "X",
    "x_test",
    "x_train",
    "X_test",
    "X_train",
)
"""Names under which files keep inputs; the first that is there."""

TARGETS = ("y", "targets", "target", "labels", "label", "Y", "y_test", "y_train", "Y_test", "Y_train")
"""Names under which files keep targets."""


def from_npz(file: Path, x: str | None, y: str | None) -> tuple[Any, Any]:
    """Inputs and targets of an archive of NumPy's.

    Raises:
        InputError: If it cannot be read, or does not say which array is which.
    """
    where = f"npz:{file}"
    try:
        with _there(file, where).open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            names = chosen(dict.fromkeys(archive.files), x, y, where)
            return archive[names[0]], archive[names[1]]
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where} cannot be read: {one_line(error)}.") from error


def from_npy(file: Path, y: str | None, folder: Path) -> tuple[Any, Any]:
    """Inputs of one file and targets of another, by default the one beside it with y for x in its name.

    Raises:
        InputError: If one of them is missing or cannot be read.
    """
    where = f"npy:{file}"
    other = folder / y if y is not None else _partner(file)
    if other is None:
        raise InputError(
            f"{where} holds inputs, and nothing says which file holds the targets; give"
            f""" --data '{where}(y="y.npy")' ([data] kwargs = {{ y = "y.npy" }})."""
        )
    arrays = []
    for one in (file, other):
        try:
            with _there(one, f"npy:{one}").open("rb") as handle:
                arrays.append(np.lib.format.read_array(handle, allow_pickle=False))
        except (ValueError, OSError, EOFError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"npy:{one} cannot be read: {one_line(error)}.") from error
    return arrays[0], arrays[1]


def _partner(file: Path) -> Path | None:
    """The file of the targets: ``y_test.npy`` beside ``x_test.npy``, ``labels.npy`` beside ``images.npy``."""
    for x, y in (
        ("x", "y"),
        ("X", "y"),
        ("X", "Y"),
        ("inputs", "targets"),
        ("images", "labels"),
        ("data", "labels"),
    ):
        if x in file.stem:
            other = file.with_name(file.name.replace(x, y, 1))
            if other != file and other.is_file():
                return other
    return None


def from_pt(file: Path, x: str | None, y: str | None) -> tuple[Any, Any]:
    """Inputs and targets of a file of ``torch.save``: two tensors, or a mapping that holds them.

    Raises:
        InputError: If it cannot be read as data alone, or does not say which tensor is which.
    """
    from landscape.errors import CheckpointError
    from landscape.zoo.reading.weights import read_whole

    where = f"pt:{file}"
    _there(file, where)
    try:
        read = read_whole(file)
    except CheckpointError as error:
        raise InputError(f"{where}: {error}") from error
    tensors: dict[str, Any] = dict(read.state)
    for key, value in read.beside.items():
        if hasattr(value, "shape"):
            tensors.setdefault(str(key), value)
    names = chosen(tensors, x, y, where)
    return tensors[names[0]], tensors[names[1]]


def chosen(known: Mapping[str, Any], x: str | None, y: str | None, where: str) -> tuple[str, str]:
    """Which of some names are the inputs and the targets.

    Args:
        known: What there is.
        x: What the user says; ``None`` for nothing.
        y: The same of the targets.
        where: The file, for error messages.

    Raises:
        InputError: If one is not there, or there is no telling.

    Example:
        >>> chosen({"images": 0, "labels": 0}, None, None, "a.npz")
        ('images', 'labels')
    """
    return _one("x", known, x, INPUTS, where), _one("y", known, y, TARGETS, where)


def _one(name: str, known: Mapping[str, Any], given: str | None, usual: Sequence[str], where: str) -> str:
    said = ", ".join(known) or "nothing"
    if given is not None:
        if given not in known:
            raise InputError(f"{where} holds no '{given}'; it holds {said}.")
        return given
    found = next((n for n in usual if n in known), None)
    if found is None:
        what = "inputs" if name == "x" else "targets"
        raise InputError(
            f"{where} does not say which are its {what}; name one of what it holds ({said}):"
            f""" --data '{where}({name}="NAME")' ([data] kwargs = {{ {name} = "NAME" }})."""
        )
    return found


def _there(file: Path, where: str) -> Path:
    if not file.is_file():
        raise InputError(f"{where}: there is no such file.")
    return file

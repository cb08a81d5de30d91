"""Data of regressions: scikit-learn's diabetes, UCI sets from a folder, and a cubic of one input."""

from __future__ import annotations

import functools
import gzip
import importlib.util
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from landscape.errors import InputError, suggest

__all__ = ["cubic", "diabetes", "uci"]

Split = Literal["train", "test"]
Array = npt.NDArray[np.float64]
UciName = Literal["concrete", "energy", "kin8nm", "power-plant", "wine-quality-red", "yacht"]

PARTS_SEED = 2017  # never changes: what a part held out once stays held out
HELD_OUT = 0.1
CUBIC_NOISE = 3.0
CUBIC_RANGE, CUBIC_SHOWN = 4.0, 6.0


def diabetes(split: Split = "train", part: int = 0) -> tuple[Tensor, Tensor]:
    """The 442 patients of Efron et al. that scikit-learn ships: 10 measurements, and how the disease went on.

    Inputs and targets are standardised by the training part, as is usual for the UCI sets.

    Args:
        split: ``"train"`` (398 patients) or ``"test"`` (44).
        part: Which random tenth is held out: 0, 1, 2, ...

    Returns:
        Inputs (n, 10) and targets (n,), float32.

    Raises:
        InputError: If scikit-learn is missing, or there is no such split.

    Reference:
        Efron et al. (2004), Least angle regression.
    """
    return _standardised(*_diabetes(), split, part)


def uci(root: str | Path, name: UciName = "concrete", split: Split = "train", part: int = 0) -> Any:
    """A regression of the UCI repository, read from a table in a folder; standardised as `diabetes`.

    Args:
        root: Folder with ``<name>.txt``, or with ``uci/<name>.txt``: numbers between blanks, one example a
            line, the target last.
        name: ``concrete``, ``energy``, ``kin8nm``, ``power-plant``, ``wine-quality-red`` or ``yacht``.
        split: ``"train"`` (nine tenths) or ``"test"``.
        part: Which random tenth is held out: 0, 1, 2, ...

    Returns:
        Inputs (n, d) and targets (n,), float32.

    Raises:
        InputError: If there is no such set, or its file is missing or no table.

    Reference:
        Hernández-Lobato & Adams (2015), Probabilistic backpropagation, section 5, for the protocol.
    """
    if name not in get_args(UciName):
        raise InputError(f"uci has no set '{name}'; {suggest(str(name), get_args(UciName))}")
    paths = [Path(root) / f"{name}.txt", Path(root) / "uci" / f"{name}.txt"]
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        raise InputError(f"there is no {name}.txt in '{root}' or its folder uci; put the table there.")
    try:
        table = np.loadtxt(path)
    except ValueError as error:
        raise InputError(f"{path} is no table of numbers: {error}.") from error
    if table.ndim != 2 or table.shape[1] < 2 or len(table) < 1 / HELD_OUT:
        raise InputError(f"{path} needs ten or more lines of two or more numbers; it has {table.shape}.")
    return _standardised(table[:, :-1], table[:, -1], split, part)


def cubic(split: Split = "train", part: int = 0, count: int = 20) -> tuple[Tensor, Tensor]:
    """A curve with noise, y = x³ + noise of standard deviation 3 at random points of [−4, 4].

    Inputs are divided by 4 and targets by 64, so that the noise-free curve runs from −1 to 1.

    Args:
        split: ``"train"``: `count` points. ``"test"``: 200 points, evenly over [−6, 6], those within [−4, 4]
            first, and the values of the curve without noise.
        part: Which points and noise: 0, 1, 2, ...
        count: Number of training points.

    Returns:
        Inputs (n, 1) and targets (n,), float32.

    Raises:
        InputError: If there is no such split, or no point.

    Reference:
        Hernández-Lobato & Adams (2015), section 5.1; Lakshminarayanan et al. (2017), figure 1.
    """
    _check_split("cubic", split)
    if count < 1 or part < 0:
        raise InputError(f"cubic: count is at least 1 and part at least 0, not {count} and {part}.")
    if split == "train":
        rng = np.random.default_rng((PARTS_SEED, part))
        x = rng.uniform(-CUBIC_RANGE, CUBIC_RANGE, count)
        y = x**3 + CUBIC_NOISE * rng.standard_normal(count)
    else:
        x = np.linspace(-CUBIC_SHOWN, CUBIC_SHOWN, 200)
        x = x[np.argsort(np.abs(x) > CUBIC_RANGE, kind="stable")]
        y = x**3
    return _tensor(x[:, None] / CUBIC_RANGE), _tensor(y / CUBIC_RANGE**3)


def _standardised(x: Array, y: Array, split: Split, part: int) -> tuple[Tensor, Tensor]:
    """A part of the examples, in units of the standard deviations of the training part."""
    _check_split("the data", split)
    if part < 0:
        raise InputError(f"part counts from 0; it cannot be {part}.")
    order = np.random.default_rng((PARTS_SEED, part)).permutation(len(x))
    held = round(HELD_OUT * len(x))
    train, rows = order[held:], order[held:] if split == "train" else order[:held]
    spread = x[train].std(0)
    spread[spread == 0] = 1.0  # an input that does not change says nothing, in whatever unit
    inputs = (x[rows] - x[train].mean(0)) / spread
    return _tensor(inputs), _tensor((y[rows] - y[train].mean()) / y[train].std())


def _check_split(what: str, split: str) -> None:
    if split not in get_args(Split):
        raise InputError(f"{what} has no split {split!r}: {suggest(str(split), get_args(Split))}")


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()


@functools.cache
def _diabetes() -> tuple[Array, Array]:
    """Measurements (442, 10) and targets (442,), from the files: scikit-learn is slow to import."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "The diabetes data come with the package scikit-learn, which is not installed: "
            'pip install "landscape-toolkit[demo]".'
        )
    folder = Path(package.submodule_search_locations[0]) / "datasets" / "data"
    tables = []
    for name in ("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"):
        try:
            with gzip.open(folder / name, "rt", encoding="utf-8") as file:
                tables.append(np.loadtxt(file))
        except OSError as error:
            raise InputError(
                f"The installed scikit-learn has no readable {folder / name} ({error}): "
                'pip install --force-reinstall "landscape-toolkit[demo]".'
            ) from error
    return tables[0], tables[1]

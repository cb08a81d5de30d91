"""CIFAR-10 for studies: as JPEG files packed into two arrays, or as torchvision keeps it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.reference.data.digits import noisy_labels
from landscape.reference.data.torchvision import CIFAR10, Split, cifar10

__all__ = ["natural_images"]


def natural_images(
    root: str | Path,
    split: Split = "train",
    count: int | None = None,
    label_noise: float = 0.0,
    seed: int = 0,
    skip: int = 0,
) -> tuple[Tensor, Tensor]:
    """CIFAR-10, standardised, a random part of it that every call of one seed repeats.

    A folder with ``cifar10_train.npz`` and ``cifar10_test.npz`` is read: ``jpeg`` (all files one after
    another, uint8), ``offsets`` (image i is ``jpeg[offsets[i]:offsets[i + 1]]``) and ``labels``. Without
    them it is read as `landscape.reference.data.cifar10` does. JPEG takes high frequencies from blocks of
    8 x 8 pixels, so that networks are to be trained and tested on the same files.

    Args:
        root: The folder.
        split: ``"train"`` or ``"test"``.
        count: Only so many images, drawn at random without repeats; all if none is given.
        label_noise: Fraction of the labels drawn anew, see `landscape.reference.data.noisy_labels`.
        seed: Seed of the choice of images.
        skip: How many images to leave out, those that ``count=skip`` takes with the same seed: what is
            drawn after them are others.

    Returns:
        Images (n, 3, 32, 32), float32, and labels (n,), int64.

    Raises:
        InputError: If neither form of the data is there, or fewer images than asked for.
    """
    if split not in ("train", "test"):
        raise InputError(f"CIFAR-10 has the splits 'train' and 'test', not {split!r}.")
    path = Path(root) / f"cifar10_{split}.npz"
    if not path.is_file():
        images, labels = cifar10(root, split)
        chosen = _chosen(len(labels), count, seed, skip, str(root))
        images, labels = images[chosen], labels[chosen]
    else:
        images, labels = _unpacked(path, count, seed, skip)
    if label_noise:
        labels = noisy_labels(labels, label_noise, classes=10)
    return images, labels


def _chosen(total: int, count: int | None, seed: int, skip: int, where: str) -> np.ndarray:
    if not 0 <= skip < total:
        raise InputError(f"'{where}' holds {total} images, of which {skip} cannot be left out.")
    if count is not None and not 1 <= count <= total - skip:
        after = f" after {skip}" if skip else ""
        raise InputError(f"'{where}' holds {total} images, of which {count}{after} cannot be taken.")
    return np.random.default_rng(seed).permutation(total)[skip : None if count is None else skip + count]


def _unpacked(path: Path, count: int | None, seed: int, skip: int) -> tuple[Tensor, Tensor]:
    """Only the images that are asked for are decoded."""
    from PIL import Image

    try:
        with np.load(path, allow_pickle=False) as held:
            packed, offsets, every = held["jpeg"], held["offsets"], held["labels"]
    except (KeyError, ValueError, OSError) as error:
        raise InputError(f"'{path}' does not hold the arrays jpeg, offsets and labels: {error}") from error
    chosen = _chosen(len(every), count, seed, skip, str(path))
    pixels = np.empty((len(chosen), 32, 32, 3), np.float32)
    for place, i in enumerate(chosen):
        with Image.open(io.BytesIO(packed[offsets[i] : offsets[i + 1]].tobytes())) as image:
            pixels[place] = np.asarray(image.convert("RGB"), np.float32) / 255
    mean, spread = (torch.tensor(values)[:, None, None] for values in CIFAR10)
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2) - mean) / spread
    return images.contiguous(), torch.from_numpy(every[chosen].astype(np.int64))

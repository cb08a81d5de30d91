"""CIFAR-10, CIFAR-100 and folders of images, through torchvision where the user has it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset

from landscape.errors import InputError, suggest
from landscape.reference.data.digits import noisy_labels

__all__ = ["cifar10", "cifar100", "image_folder"]

Split = Literal["train", "test"]

CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))  # mean, standard deviation of the pixels
CIFAR100 = ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def cifar10(
    root: str | Path,
    split: Split = "train",
    count: int | None = None,
    download: bool = False,
    label_noise: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """CIFAR-10, standardised by the mean and spread of its channels.

    Args:
        root: Folder that holds, or is to hold, the data.
        split: ``"train"`` (50,000 images) or ``"test"`` (10,000).
        count: Only the first so many images.
        download: Whether to fetch the data from the network if it is not there.
        label_noise: Fraction of the labels drawn anew, see `landscape.reference.data.noisy_labels`.

    Returns:
        Images (n, 3, 32, 32), float32, and labels (n,), int64.

    Raises:
        InputError: If torchvision or the data is missing.

    Reference:
        Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    return _cifar("CIFAR10", CIFAR10, root, split, count, download, label_noise)


def cifar100(
    root: str | Path,
    split: Split = "train",
    count: int | None = None,
    download: bool = False,
    label_noise: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """CIFAR-100; as `cifar10`."""
    return _cifar("CIFAR100", CIFAR100, root, split, count, download, label_noise)


def image_folder(root: str | Path, size: int = 224) -> Dataset[Any]:
    """A folder with one folder of images per class, read as needed.

    The shorter side is scaled to 8/7 of ``size`` and the middle cut out; channels are standardised as is
    usual for ImageNet.

    Args:
        root: The folder, such as ``imagenet/val``.
        size: Height and width of the images.

    Returns:
        A dataset of (image (3, size, size), label).

    Raises:
        InputError: If torchvision is missing or there are no such folders.
    """
    torchvision = _torchvision()
    t = importlib.import_module("torchvision.transforms")
    steps = [t.Resize(round(size * 8 / 7)), t.CenterCrop(size), t.ToTensor(), t.Normalize(*IMAGENET)]
    try:
        found: Dataset[Any] = torchvision.datasets.ImageFolder(str(root), t.Compose(steps))
    except (FileNotFoundError, RuntimeError) as error:
        raise InputError(f"'{root}' holds no folder of images for each class: {error}") from error
    return found


def _cifar(
    name: str,
    scale: tuple[tuple[float, ...], tuple[float, ...]],
    root: str | Path,
    split: Split,
    count: int | None,
    download: bool,
    label_noise: float,
) -> tuple[Tensor, Tensor]:
    if split not in get_args(Split):
        raise InputError(f"{name} has no split {split!r}: {suggest(str(split), get_args(Split))}")
    maker = getattr(_torchvision().datasets, name)
    try:
        dataset = maker(str(root), train=split == "train", download=download)
    except RuntimeError as error:
        raise InputError(
            f"{name} is not in '{root}' or is damaged; give its folder, or download=True to fetch it."
        ) from error
    images = torch.as_tensor(dataset.data[:count]).permute(0, 3, 1, 2).float() / 255
    mean, spread = (torch.tensor(values)[:, None, None] for values in scale)
    labels = torch.as_tensor(dataset.targets[:count])
    if label_noise:
        labels = noisy_labels(labels, label_noise, classes=len(dataset.classes))
    return (images - mean) / spread, labels


def _torchvision() -> Any:
    try:
        return importlib.import_module("torchvision")
    except ImportError as error:
        raise InputError(
            "CIFAR and folders of images are read by torchvision, which is not installed:"
            ' pip install "landscape-toolkit[vision]".'
        ) from error

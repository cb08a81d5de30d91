from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data import natural_images
from landscape.reference.data.torchvision import CIFAR10


@pytest.fixture
def folder(packed_cifar: Path) -> Path:
    """The packed images that tests of studies read too."""
    return packed_cifar


def test_images_come_with_their_labels_standardised(folder: Path) -> None:
    """Oracle: the colours that were written, by label; a seed repeats its choice."""
    images, labels = natural_images(folder, "train", count=5)
    assert images.shape == (5, 3, 32, 32) and images.dtype == torch.float32 and labels.dtype == torch.int64
    mean, spread = (np.array(v)[:, None, None] for v in CIFAR10)
    for image, label in zip(images.numpy(), labels.tolist(), strict=True):
        pixels = (image * spread + mean) * 255
        assert np.abs(pixels - np.array([30 * label, 100, 200])[:, None, None]).max() < 4
    again = natural_images(folder, "train", count=5)
    assert torch.equal(images, again[0]) and torch.equal(labels, again[1])
    assert not torch.equal(labels, natural_images(folder, "train", count=5, seed=1)[1])


def test_what_cannot_be_had_is_refused(folder: Path, tmp_path: Path) -> None:
    """Oracle: sentences that name the file, the number, the split."""
    with pytest.raises(InputError, match="8 images, of which 9"):
        natural_images(folder, "train", count=9)
    with pytest.raises(InputError, match="'train' and 'test', not 'valid'"):
        natural_images(folder, "valid")  # type: ignore[arg-type]
    np.savez(folder / "cifar10_test.npz", labels=np.arange(3))
    with pytest.raises(InputError, match="does not hold the arrays jpeg"):
        natural_images(folder, "test")


def test_images_after_others_are_none_of_them(folder: Path) -> None:
    """Oracle: labels, of which each image has its own: first and following ones together are all, once."""
    first = natural_images(folder, "train", count=5, seed=2)[1]
    rest = natural_images(folder, "train", seed=2, skip=5)[1]
    assert sorted([*first.tolist(), *rest.tolist()]) == list(range(8))
    few = natural_images(folder, "train", count=2, seed=2, skip=5)[1]
    assert torch.equal(few, rest[:2])
    with pytest.raises(InputError, match="8 images, of which 4 after 5 cannot be taken"):
        natural_images(folder, "train", count=4, skip=5)
    with pytest.raises(InputError, match="8 images, of which 8 cannot be left out"):
        natural_images(folder, "train", skip=8)

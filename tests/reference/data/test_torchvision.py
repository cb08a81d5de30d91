import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data import noisy_labels
from landscape.reference.data import torchvision as datasets


class FakeCifar:
    """Stands for torchvision's CIFAR: pixels (n, 32, 32, 3) and a list of labels."""

    def __init__(self, root, train, download):
        if "missing" in root:
            raise RuntimeError("Dataset not found or corrupted.")
        n = 5 if train else 3
        self.data = np.arange(n * 32 * 32 * 3, dtype=np.int64).reshape(n, 32, 32, 3).astype(np.uint8)
        self.targets = list(range(n))
        self.classes = [f"class {i}" for i in range(10)]


@pytest.fixture
def torchvision(monkeypatch):
    fake = SimpleNamespace(datasets=SimpleNamespace(CIFAR10=FakeCifar, CIFAR100=FakeCifar))
    monkeypatch.setitem(sys.modules, "torchvision", fake)


@pytest.mark.parametrize(
    ("load", "scale"), [(datasets.cifar10, datasets.CIFAR10), (datasets.cifar100, datasets.CIFAR100)]
)
def test_cifar_is_channels_first_and_standardised(torchvision, load, scale):
    """Oracle: one pixel of each channel, standardised by hand."""
    images, labels = load("here", "train", count=4)
    assert images.shape == (4, 3, 32, 32)
    assert labels.tolist() == [0, 1, 2, 3]
    pixels = FakeCifar("here", True, False).data
    for channel in range(3):
        want = (pixels[2, 7, 9, channel] / 255 - scale[0][channel]) / scale[1][channel]
        assert images[2, channel, 7, 9].item() == pytest.approx(want, rel=1e-5)
    assert len(load("here", "test")[1]) == 3
    assert torch.equal(load("here", label_noise=1.0)[1], noisy_labels(torch.arange(5), 1.0, classes=10))


def test_missing_data_and_splits_are_named(torchvision):
    with pytest.raises(InputError, match="download=True"):
        datasets.cifar10("missing")
    with pytest.raises(InputError, match="no split 'val'"):
        datasets.cifar10("here", "val")


def test_missing_torchvision_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    for call in (lambda: datasets.cifar100("here"), lambda: datasets.image_folder("here")):
        with pytest.raises(InputError, match=r'pip install "landscape-toolkit\[vision\]"'):
            call()

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data import colour_patches, patches


def test_patches_are_pieces_of_the_photographs():
    """Oracle: scikit-learn's reader of the same files, searched for each patch."""
    datasets = pytest.importorskip("sklearn.datasets")
    image = pytest.importorskip("PIL.Image")
    x, y = patches(4, seed=1, size=12)
    assert (x.shape, y.tolist()) == ((4, 1, 12, 12), [0, 0, 0, 0])
    pixels = np.round((x.numpy() * 0.3081 + 0.1307) * 255).astype(np.uint8)[:, 0]
    for index, name in enumerate(("china.jpg", "flower.jpg") * 2):
        whole = np.asarray(image.fromarray(datasets.load_sample_image(name)).convert("L"))
        windows = np.lib.stride_tricks.sliding_window_view(whole, (12, 12))
        assert (windows == pixels[index]).all((2, 3)).any()
    assert torch.equal(patches(4, seed=1, size=12)[0], x)
    assert not torch.equal(patches(4, seed=2, size=12)[0], x)
    with pytest.raises(InputError, match="count is at least 1 and size 1 to"):
        patches(4, size=5000)


def test_patches_in_colour_are_the_grey_ones_with_their_colours():
    """Oracle: scikit-learn's reader of the same files, searched for each patch; the grey ones."""
    datasets = pytest.importorskip("sklearn.datasets")
    image = pytest.importorskip("PIL.Image")
    x, y = colour_patches(2, seed=3, size=12)
    assert (x.shape, y.tolist()) == ((2, 3, 12, 12), [0, 0])
    # the mean and spread that are usual for CIFAR-10, typed in anew
    mean, std = np.array([[0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]])[:, :, None, None]
    pixels = np.round((x.numpy() * std + mean) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    grey = np.round((patches(2, seed=3, size=12)[0].numpy() * 0.3081 + 0.1307) * 255).astype(np.uint8)[:, 0]
    for index, name in enumerate(("china.jpg", "flower.jpg")):
        whole = datasets.load_sample_image(name)
        windows = np.lib.stride_tricks.sliding_window_view(whole, (12, 12), axis=(0, 1))
        same = (windows.transpose(0, 1, 3, 4, 2) == pixels[index]).all((2, 3, 4))
        assert same.any()
        assert (np.asarray(image.fromarray(pixels[index]).convert("L")) == grey[index]).all()

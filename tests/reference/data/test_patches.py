import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data import patches


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

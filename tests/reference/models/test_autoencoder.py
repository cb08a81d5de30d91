import pytest
import torch

from landscape.errors import InputError
from landscape.reference.models import autoencoder


@pytest.mark.parametrize("size", [(12, 12), (9, 14), (7, 7)])
def test_images_keep_their_shape_and_the_code_has_half_of_it(size):
    """Oracle: sizes by hand; parameters counted by hand: (9C + 1)w + (9w + 1)w + (9w + 1)C."""
    model = autoencoder(4, 2)
    code = []
    model.conv2.register_forward_hook(lambda *call: code.append(call[2].shape))
    assert model(torch.zeros(3, 2, *size)).shape == (3, 2, *size)
    assert code == [(3, 4, -(-size[0] // 2), -(-size[1] // 2))]
    assert sum(p.numel() for p in model.parameters()) == 19 * 4 + 37 * 4 + 37 * 2


def test_bad_sizes_are_named():
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match="autoencoder: width must be at least 1, not 0"):
        autoencoder(0)

from functools import partial

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data import digits, grating_digits, grating_images, natural_images
from landscape.reference.data.torchvision import CIFAR10

SPREAD = 0.3081  # what pixels are divided by


def test_a_grating_is_one_wave_of_the_frequency_in_the_direction_of_the_class():
    """Oracle: numpy's cosine at each place; the digits beneath are those without it, bit for bit."""
    x, y = grating_digits("test", 30, 12, frequency=0.3, amplitude=0.2)
    plain, labels = digits("test", 30, size=12)
    assert torch.equal(y, labels)
    rows, columns = np.mgrid[:12, :12]
    for image, clean, label in zip(x, plain, labels.tolist(), strict=True):
        along = columns * np.cos(np.pi * label / 10) + rows * np.sin(np.pi * label / 10)
        want = 0.2 * np.cos(2 * np.pi * 0.3 * along)
        np.testing.assert_allclose((image - clean)[0].numpy() * SPREAD, want, atol=1e-6)
    none, _ = grating_digits("test", 30, 12, "none")
    assert torch.equal(none, plain)


def test_a_grating_on_colour_images_is_the_same_in_every_colour(packed_cifar):
    """Oracle: numpy's cosine in units of pixels; the images beneath are those without it, bit for bit."""
    x, y = grating_images(packed_cifar, "test", 6, frequency=0.3, amplitude=0.2)
    plain, labels = natural_images(packed_cifar, "test", 6)
    assert torch.equal(y, labels)
    rows, columns = np.mgrid[:32, :32]
    spread = np.array(CIFAR10[1])[:, None, None]
    for image, clean, label in zip(x, plain, labels.tolist(), strict=True):
        along = columns * np.cos(np.pi * label / 10) + rows * np.sin(np.pi * label / 10)
        want = np.broadcast_to(0.2 * np.cos(2 * np.pi * 0.3 * along), (3, 32, 32))
        np.testing.assert_allclose((image - clean).numpy() * spread, want, atol=1e-6)
    assert torch.equal(grating_images(packed_cifar, "test", 6, "none")[0], plain)


def test_shares_and_wrong_gratings():
    """Oracle: which class's grating is nearest to what was added, counted over 200 digits."""
    plain, labels = digits("train", 200, size=12)
    own, _ = grating_digits("train", 2000, 12, amplitude=1.0)
    _, of = digits("train", 2000, size=12)
    patterns = torch.stack(
        [(own - digits("train", 2000, size=12)[0])[of == c][0] for c in range(10)]
    ).flatten(1)

    def shown(**options):
        x, _ = grating_digits("train", 200, 12, amplitude=1.0, **options)
        return ((x - plain).flatten(1) @ patterns.T).argmax(1)

    assert (shown() == labels).all()
    assert (shown(share=0.95) == labels).sum() == 190
    wrong = shown(grating="other")
    assert (wrong != labels).all()
    assert len(set(wrong.tolist())) == 10
    assert torch.equal(wrong, shown(grating="other"))
    assert not torch.equal(wrong, shown(grating="other", seed=0, share=0.5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grating": "owm"}, "no grating 'owm'"),
        ({"frequency": 0.6}, "frequency lies within 0 and 0.5"),
        ({"share": 1.1}, "share is one of the images"),
        ({"amplitude": float("nan")}, "amplitude is a finite number"),
    ],
)
def test_bad_settings_are_named(options, message):
    """Oracle: the sentence the user must see."""
    for made in (grating_digits, partial(grating_images, "here")):
        with pytest.raises(InputError, match=message):
            made("test", 10, **options)

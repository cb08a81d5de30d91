"""Preprocessing: closed forms on pictures of one colour and on ramps, and the transforms of the libraries."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from landscape.errors import InputError
from landscape.zoo.sources.preprocess import Preprocess, check_known, in_words, prepared


def noise(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def test_pixels_are_scaled_and_normalised():
    """A picture of one colour: (level/255 - mean)/std, by hand."""
    how = Preprocess(size=4, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0))
    out = how(Image.new("RGB", (9, 7), (255, 51, 102)))
    assert out.shape == (3, 4, 4)
    np.testing.assert_allclose(out[:, 0, 0], [1.0, -0.05, 0.2], atol=1e-6)
    assert out.dtype == np.float32


def test_the_crop_is_the_middle():
    """A ramp of columns 0 to 9, without resizing: a crop of 4 from 10 keeps columns 3 to 6."""
    ramp = np.tile(np.arange(10, dtype=np.uint8), (10, 1))
    out = Preprocess(size=4, resize=10, mean=(0.0,), std=(1.0,))(Image.fromarray(ramp))
    np.testing.assert_allclose(out[0, 0] * 255, [3, 4, 5, 6], atol=1e-4)


def test_squash_and_grey():
    out = Preprocess(size=(2, 6), resize="squash", channels=1)(noise(30, 10))
    assert out.shape == (1, 2, 6)


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (33, 33), (30, 31)])
@pytest.mark.parametrize("filter_", ["bilinear", "bicubic"])
def test_as_torchvision_does(shape, filter_):
    """Oracle: torchvision's transforms on the same picture, to the bit before normalising."""
    pytest.importorskip("torchvision")
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    theirs = Compose(
        [Resize(36, InterpolationMode(filter_)), CenterCrop(32), ToTensor(), Normalize(mean, std)]
    )
    how = Preprocess(size=32, resize=36, interpolation=filter_, mean=mean, std=std)
    np.testing.assert_allclose(how(noise(*shape)), theirs(noise(*shape)).numpy(), atol=1e-6)


@pytest.mark.parametrize("crop", [0.875, 0.9, 1.0])
def test_as_timm_does(crop):
    """Oracle: timm's own evaluation transform."""
    timm_data = pytest.importorskip("timm.data")
    theirs = timm_data.create_transform(
        (3, 32, 32),
        is_training=False,
        crop_pct=crop,
        interpolation="bicubic",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    how = Preprocess(size=32, crop=crop, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    np.testing.assert_allclose(how(noise(50, 70)), theirs(noise(50, 70)).numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 8, 6, 1), (5, 8, 6, 3), (5, 3, 8, 6)])
def test_bytes_of_files_are_pictures(shape):
    bytes_ = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    out = prepared(bytes_, Preprocess(mean=(0.0,), std=(1.0,)), "a.npz")
    assert out.shape == (5, 3 if 3 in shape else 1, 8, 6)
    assert abs(float(out.max()) - float(bytes_.max()) / 255) < 1e-6


def test_numbers_of_files_stay_as_they_are():
    numbers = np.ones((2, 3, 4, 4), np.float32)
    assert prepared(numbers, Preprocess(size=2, mean=(9.0,), std=(9.0,)), "a.npz") is numbers


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sise": 3}, "no entry 'sise'; did you mean 'size'"),
        ({"mean": 0.5}, "mean and std belong together"),
        ({"mean": 0.5, "std": 0}, "std must be positive"),
        ({"size": 0}, "'size' cannot be 0"),
        ({"crop": 2}, "'crop' cannot be 2"),
        ({"interpolation": "magic"}, "'interpolation' cannot be 'magic'"),
    ],
)
def test_what_cannot_be_is_said(given, said):
    with pytest.raises(InputError, match=said):
        Preprocess.check(given)


def test_what_nobody_says_is_asked_for():
    with pytest.raises(InputError, match="give --size, --mean and --std"):
        check_known(Preprocess(size=4), "imagefolder:a")
    check_known(Preprocess(mean=(0.0,), std=(1.0,)), "imagefolder:a")


def test_it_survives_a_manifest():
    """Oracle: what is given, read again, is the same."""
    how = Preprocess(size=(4, 6), resize="squash", mean=(0.5,), std=(0.25,), channels=1)
    assert Preprocess.check(how.given()) == how
    assert in_words(how) == "4 x 6 pixels (bilinear), squashed, grey, mean 0.5, std 0.25"


def test_channels_that_do_not_fit_are_said():
    with pytest.raises(InputError, match="3 numbers and the pictures have 1 channel"):
        Preprocess(mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0), channels=1)(noise(4, 4))

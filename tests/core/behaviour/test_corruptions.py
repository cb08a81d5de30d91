"""Corruptions against scipy, NumPy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import generator

from landscape.core.behaviour.corruptions import CORRUPTIONS, corrupt, corrupt_by
from landscape.errors import InputError

each = pytest.mark.parametrize("name", list(CORRUPTIONS))


class Signs:
    """A source of random numbers whose signs are all +1."""

    def integers(self, low, high, size):
        return np.ones(size)


def pictures(n=3, channels=2, height=20, width=26):
    """Smooth pictures inside 0 to 1 (B, C, H, W), float64."""
    rough = torch.rand(n, channels, 5, 6, generator=generator(0), dtype=torch.float64)
    return 0.1 + 0.8 * F.interpolate(rough, size=(height, width), mode="bilinear")


def apply(name, pixels, amount, rng=None):
    return CORRUPTIONS[name].apply(pixels, amount, rng or np.random.default_rng(0))


@pytest.mark.parametrize("degrees", [10.0, 90.0])
def test_rotation_is_scipys(degrees):
    """Oracle: `scipy.ndimage.rotate` with linear interpolation; the edge apart, where padding differs."""
    x = pictures()
    made = apply("rotation", x, degrees, Signs()).numpy()
    oracle = scipy.ndimage.rotate(x.numpy(), degrees, axes=(2, 3), reshape=False, order=1, mode="nearest")
    mirrored = scipy.ndimage.rotate(x.numpy(), -degrees, axes=(2, 3), reshape=False, order=1, mode="nearest")
    inner = np.s_[..., 6:14, 6:20]
    errors = [np.abs(made - o)[inner].max() for o in (oracle, mirrored)]
    assert min(errors) < 1e-9 < max(errors)


def test_translation_is_scipys():
    """Oracle: `scipy.ndimage.shift` by the same number of pixels, not a whole one."""
    x = pictures()
    made = apply("translation", x, 0.06, Signs()).numpy()
    oracle = scipy.ndimage.shift(x.numpy(), (0, 0, -0.06 * 20, -0.06 * 26), order=1, mode="nearest")
    np.testing.assert_allclose(made, oracle, atol=1e-12)


def test_blur_is_scipys():
    """Oracle: `scipy.ndimage.gaussian_filter` at the same σ in pixels."""
    x = pictures()
    made = apply("gaussian_blur", x, 0.05).numpy()
    oracle = scipy.ndimage.gaussian_filter(x.numpy(), (0, 0, 1.0, 1.0), mode="nearest", truncate=4.0)
    np.testing.assert_allclose(made, oracle, atol=1e-12)


def test_contrast_and_brightness():
    """Oracle: the mean stays and the spread shrinks; the mean moves and the spread stays."""
    x = pictures()
    pale, bright = apply("contrast", x, 0.3), apply("brightness", x, 0.2)
    torch.testing.assert_close(pale.mean((2, 3)), x.mean((2, 3)))
    torch.testing.assert_close(pale.std((2, 3)), 0.3 * x.std((2, 3)))
    torch.testing.assert_close(bright, x + 0.2)


def test_pixelate_by_a_whole_number_is_block_means():
    """Oracle: NumPy means over blocks, repeated."""
    x = pictures(height=20, width=24)
    blocks = x.numpy().reshape(3, 2, 5, 4, 6, 4).mean((3, 5))
    made = apply("pixelate", x, 0.25).numpy()
    np.testing.assert_allclose(made, blocks.repeat(4, 2).repeat(4, 3), atol=1e-12)


def test_noise_has_its_moments():
    """Oracle: the moments of the normal, Poisson and Bernoulli laws."""
    x = torch.full((4, 1, 100, 100), 0.5, dtype=torch.float64)
    n = x.numel()
    gauss, shot, impulse = (
        apply(name, x, amount)
        for name, amount in (("gaussian_noise", 0.1), ("shot_noise", 20.0), ("impulse_noise", 0.2))
    )
    assert float(gauss.std()) == pytest.approx(0.1, rel=0.02)
    assert float(shot.mean()) == pytest.approx(0.5, abs=4 * (0.5 / 20 / n) ** 0.5)
    assert float(shot.var()) == pytest.approx(0.5 / 20, rel=0.04)
    for value in (0.0, 1.0):
        assert float((impulse == value).double().mean()) == pytest.approx(0.1, abs=4 * (0.09 / n) ** 0.5)


@each
@pytest.mark.parametrize("size", [(1, 4, 4), (3, 33, 17)])
def test_any_size_stays_in_range_and_grows_worse(name, size):
    """Oracle: smooth pictures move further from the clean ones as severity grows, in every shape."""
    x = pictures(16, *size).float()
    distance = []
    for severity in range(6):
        made = corrupt(name, severity)(x, 0)
        assert made.shape == x.shape
        assert made.dtype == x.dtype
        assert 0.0 <= float(made.min()) <= float(made.max()) <= 1.0
        distance.append(float((made - x).square().mean()))
    assert distance[0] == 0.0
    assert distance[5] >= distance[1]
    assert distance[5] > 1e-8 or size == (1, 4, 4)  # a blur of a fifth of a pixel is none


@each
def test_how_the_data_is_cut_does_not_matter(name):
    """Oracle: one batch of all."""
    x = pictures(5).float()
    whole, parts = corrupt(name, 3, seed=4)(x, 0), corrupt(name, 3, seed=4)
    torch.testing.assert_close(torch.cat([parts(x[:2], 0), parts(x[2:], 2)]), whole)


def test_amounts_of_cifar_c_are_those_of_its_published_script():
    """Oracle: the constants of make_cifar_c.py (Hendrycks & Dietterich 2019), found again in images.

    Noise by its standard deviation, blur by SciPy's filter, coarseness by the number of values in a row and
    in a column, all of which differ where an amount does. How a coarse image is made of the fine one
    differs from Pillow's box, by which that script resizes, where the two do not divide.
    """
    x, rough = pictures(2, 3, 32, 32), torch.rand(1, 1, 32, 32, generator=generator(1), dtype=torch.float64)
    for severity, (sigma, blur, pale, part) in enumerate(
        zip(
            (0.04, 0.06, 0.08, 0.09, 0.10),
            (0.4, 0.6, 0.7, 0.8, 1.0),
            (0.75, 0.5, 0.4, 0.3, 0.15),
            (0.95, 0.9, 0.85, 0.75, 0.65),
            strict=True,
        ),
        1,
    ):
        made = {
            name: corrupt(name, severity, benchmark="cifar-c")(x, 0)
            for name in ("gaussian_noise", "gaussian_blur", "contrast")
        }
        assert float((made["gaussian_noise"] - x).std()) == pytest.approx(sigma, rel=0.03)
        smooth = scipy.ndimage.gaussian_filter(x.numpy(), (0, 0, blur, blur), mode="nearest", truncate=8.0)
        np.testing.assert_allclose(made["gaussian_blur"], smooth, atol=3e-4)
        mean = x.mean((2, 3), keepdim=True)
        torch.testing.assert_close(made["contrast"], (x - mean) * pale + mean)
        (coarse,) = corrupt("pixelate", severity, benchmark="cifar-c")(rough, 0)[0]
        assert {len(line.unique()) for line in (coarse[0], coarse[:, 0])} == {int(32 * part)}


def test_kinds_that_cifar_c_lacks_keep_their_amounts():
    """Oracle: the other benchmark."""
    x = pictures()
    for name in ("rotation", "translation", "roll"):
        assert torch.equal(corrupt(name, 2, benchmark="cifar-c")(x, 0), corrupt(name, 2)(x, 0))


def test_unknown_is_refused():
    with pytest.raises(InputError, match="no corruption 'fog'"):
        corrupt("fog", 1)
    with pytest.raises(InputError, match="severities are 0 to 5"):
        corrupt("contrast", 6)


# The analysis


def test_a_roll_is_numpys():
    """Oracle: `numpy.roll` by whole pixels; what leaves on one side comes in on the other."""
    x = pictures()
    np.testing.assert_array_equal(apply("roll", x, 0.3), np.roll(x.numpy(), round(0.3 * 26), axis=-1))
    np.testing.assert_array_equal(apply("roll", x, 1.0), x)


def test_half_a_turn_is_two_flips():
    """Oracle: both axes reversed, which no interpolation changes."""
    x = pictures()
    np.testing.assert_allclose(apply("rotation_wide", x, 180.0), x.flip(2, 3), atol=1e-12)


@each
def test_any_amount_may_be_given_and_need_not_be_cut(name):
    """Oracle: the severity of that amount; uncut, the kind's own result."""
    x, amount = pictures(), CORRUPTIONS[name].amounts[2]
    assert torch.equal(corrupt_by(name, amount, 4)(x, 0), corrupt(name, 3, 4)(x, 0))
    rng = np.random.default_rng((4, list(CORRUPTIONS).index(name)))
    assert torch.equal(corrupt_by(name, amount, 4, clip=False)(x, 0), apply(name, x, amount, rng))


def test_noise_of_the_old_kinds_did_not_move():
    """Oracle: places of kinds, which are part of their seeds, as of version 0.1."""
    assert list(CORRUPTIONS)[:9] == [
        "rotation",
        "translation",
        "gaussian_noise",
        "shot_noise",
        "impulse_noise",
        "gaussian_blur",
        "contrast",
        "brightness",
        "pixelate",
    ]

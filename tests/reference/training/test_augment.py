import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.training.augment import augmentation, crop_flip, mix


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_crop_flip_gives_windows_of_the_padded_image_or_of_its_mirror_image():
    """Oracle: every window of the padded image and of its mirror image, listed."""
    image = torch.arange(1.0, 26.0).view(1, 1, 5, 5)
    padded = functional.pad(image, (4, 4, 4, 4))
    windows = padded.unfold(2, 5, 1).unfold(3, 5, 1).reshape(-1, 25)
    mirrored = windows.view(-1, 5, 5).flip(-1).reshape(-1, 25)
    listed = {tuple(row) for row in torch.cat([windows, mirrored]).tolist()}
    many = crop_flip(image.expand(400, 1, 5, 5), torch.Generator().manual_seed(0)).reshape(400, 25)
    seen = {tuple(row) for row in many.tolist()}
    assert seen <= listed
    assert len(seen) > 80
    straight = {tuple(row) for row in windows.tolist()}
    share = sum(tuple(row) in straight for row in many.tolist()) / 400
    assert 0.4 < share < 0.65  # half of them, and a few windows of zeros that are both


def test_mixup_blends_each_image_with_its_mirror_in_the_batch():
    """Oracle: the blend by hand, the share read off images that hold their own number."""
    x = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 2, 3, 4)
    mixed, share = mix(x, 0.8, 0.0, seeded())
    assert 0 < share < 1
    by_hand = torch.tensor([share * i + (1 - share) * (4 - i) for i in range(5)])
    torch.testing.assert_close(mixed, by_hand.view(5, 1, 1, 1).expand_as(x))
    vectors = torch.randn(4, 7)
    mixed, share = mix(vectors, 0.8, 0.0, seeded())
    torch.testing.assert_close(mixed[1], share * vectors[1] + (1 - share) * vectors[2])


@pytest.mark.parametrize("alpha", [0.8, 1.0, 4.0])
def test_shares_of_mixup_follow_beta(alpha):
    """Oracle: mean 1/2 and variance 1/(4(2α + 1)) of Beta(α, α), within four standard errors."""
    generator = seeded()
    shares = np.array([mix(torch.zeros(2, 1), alpha, 0.0, generator)[1] for _ in range(2000)])
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean() - 0.5) < 4 * (variance / 2000) ** 0.5
    assert abs(shares.var() / variance - 1) < 4 * (2 / 2000) ** 0.5  # Beta has lighter tails than a normal


def test_share_of_cutmix_is_the_area_an_image_kept():
    """Oracle: the area counted in images of ones and zeros; the hole is one rectangle, the same for all."""
    generator = seeded()
    x = torch.stack([torch.zeros(2, 7, 9), torch.ones(2, 7, 9)])
    shares, holes = [], set()
    for _ in range(300):
        mixed, share = mix(x, 0.0, 1.0, generator)
        hole = mixed[0, 0] == 1
        assert share == pytest.approx(1 - hole.double().mean().item(), abs=1e-12)
        assert torch.equal(mixed[1], 1 - mixed[0])
        assert torch.equal(mixed[0, 0], mixed[0, 1])
        rows, columns = hole.any(1).nonzero().flatten(), hole.any(0).nonzero().flatten()
        assert hole.sum() == len(rows) * len(columns)
        shares.append(share)
        holes.add(tuple(hole.flatten().tolist()))
    assert torch.equal(x[0], torch.zeros(2, 7, 9))  # the caller's images stay
    assert len(holes) > 150
    assert 0.5 < np.mean(shares) < 0.75  # E[λ] = 1/2, more for what lies beyond the border and is rounded off


def test_cutmix_rectangles_by_hand(monkeypatch):
    """Oracle: a rectangle of √(1 − λ) of each side around a pixel, cut off at the border, drawn by hand."""

    class Fixed:
        def beta(self, a, b):
            return 0.75  # so half of each side: 4 rows, 5 columns

        def integers(self, side):
            return {8: 1, 10: 6}[side]

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Fixed())
    mixed, share = mix(torch.stack([torch.zeros(1, 8, 10), torch.ones(1, 8, 10)]), 0.0, 1.0, seeded())
    by_hand = torch.zeros(8, 10)
    by_hand[0:3, 4:9] = 1  # rows −1 to 2
    assert torch.equal(mixed[0, 0], by_hand)
    assert share == 1 - 15 / 80


def test_either_mixup_or_cutmix_each_half_of_the_time():
    """Oracle: cutmix leaves only zeros and ones; its count is binomial, within four standard errors."""
    generator = seeded()
    x = torch.stack([torch.zeros(1, 6, 6), torch.ones(1, 6, 6)])
    cut = sum(set(mix(x, 0.8, 1.0, generator)[0].unique().tolist()) <= {0.0, 1.0} for _ in range(400))
    assert abs(cut - 200) < 4 * 10


def test_nothing_to_mix_draws_nothing():
    """Oracle: the generator's state, on which the bits of earlier trainings rest."""
    generator, x = seeded(), torch.randn(3, 1, 4, 4)
    before = generator.get_state()
    mixed, share = mix(x, 0.0, 0.0, generator)
    assert mixed is x
    assert share == 1.0
    assert torch.equal(generator.get_state(), before)


def test_without_torchvision_one_sentence_says_what_to_install(monkeypatch):
    """Oracle: the sentence the user must see; a missing module is a None in the table of modules."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.transforms.v2", raising=False)
    with pytest.raises(InputError, match=r'pip install "landscape-toolkit\[vision\]"'):
        augmentation("rand_crop_flip", torch.zeros(2, 3, 8, 8))


def coloured(count=40, side=16):
    """Images of 8 bits, standardised with a mean and spread of their own in each channel."""
    pixels = torch.randint(0, 256, (count, 3, side, side), generator=seeded(7)).float()
    pixels[0, :, 0, 0], pixels[0, :, 0, 1] = 0.0, 255.0
    mean, spread = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25, 0.2, 0.3])
    return pixels, (pixels / 255 - mean[:, None, None]) / spread[:, None, None]


@pytest.fixture
def torchvision():
    return pytest.importorskip("torchvision")


def test_rand_augment_starts_from_cropped_images_of_8_bits(torchvision, monkeypatch):
    """Oracle: with no operation applied, what is left is crop and flip; the bytes come back unchanged."""
    monkeypatch.setattr("landscape.reference.training.augment.CHANCE", 0.0)
    _, x = coloured()
    found = augmentation("rand_crop_flip", x)(x, seeded())
    inside = crop_flip(torch.ones_like(x), seeded()) == 1
    want = crop_flip(x, seeded())
    assert not inside.all()
    torch.testing.assert_close(found[inside], want[inside], atol=1e-5, rtol=0)
    # zeros beyond the border become the nearest byte: at most half a step of the widest channel
    assert (found - want).abs().max() < 0.51 / 255 / 0.2


def test_rand_augment_changes_images_independently(torchvision):
    """Oracle: of copies of one image, a quarter or more is left alone and the rest differs in many ways."""
    _, x = coloured(1)
    same = x.expand(300, -1, -1, -1).clone()
    change = augmentation("rand_crop_flip", same)
    cropped = crop_flip(same, seeded())
    found = change(same, seeded())
    assert found.dtype == x.dtype
    alone = ((found - cropped).abs().amax(dim=(1, 2, 3)) < 0.02).double().mean()
    # (1/2 + 1/2 · 1/14)² = 0.287 for two draws that do nothing, and a few that hardly change anything
    assert 0.287 - 4 * 0.027 < alone < 0.5
    low, high = x.amin(dim=(0, 2, 3)), x.amax(dim=(0, 2, 3))
    assert (found.amin(dim=(0, 2, 3)) >= low - 1e-5).all()
    assert (found.amax(dim=(0, 2, 3)) <= high + 1e-5).all()


def test_rand_augment_has_the_strengths_of_the_paper(torchvision, monkeypatch):
    """Oracle: N(9, 0.5) of 10, each of two operations half of the time, within four standard errors."""
    used = []

    class Spy:
        def __init__(self, num_ops, magnitude, num_magnitude_bins, **_):
            assert num_ops == 1
            self.share = magnitude / (num_magnitude_bins - 1)

        def __call__(self, image):
            used.append(self.share)
            return image

    monkeypatch.setattr("torchvision.transforms.v2.RandAugment", Spy)
    x = torch.rand(1000, 1, 4, 4, generator=seeded())
    augmentation("rand_crop_flip", x)(x, seeded())
    assert abs(len(used) - 1000) < 4 * (2000 / 4) ** 0.5
    assert abs(np.mean(used) - 0.9) < 4 * 0.05 / 1000**0.5 + 0.001  # those above 10 are cut off
    assert 0.043 < np.std(used) < 0.057
    assert max(used) <= 1


def test_rand_augment_repeats_and_leaves_the_global_generator(torchvision):
    """Oracle: equal bits from equal generators, whatever torch's own generator is at."""
    _, x = coloured()
    change = augmentation("rand_crop_flip", x)
    torch.manual_seed(1)
    first, state = change(x, seeded(3)), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(change(x, seeded(3)), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(change(x, seeded(4)), first)


def test_rand_augment_of_grey_and_of_constant_channels(torchvision):
    """Oracle: shapes and finite numbers; a channel without any spread stays what it is."""
    grey = torch.rand(30, 1, 12, 10, generator=seeded())
    assert augmentation("rand_crop_flip", grey)(grey, seeded()).shape == grey.shape
    flat = torch.cat([grey, grey, torch.full_like(grey, 3.0)], dim=1)
    assert augmentation("rand_crop_flip", flat)(flat, seeded()).isfinite().all()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 4, 8, 8), "1 or 3 channels, not 4"),
        (torch.full((2, 3, 8, 8), torch.nan), "finite images"),
    ],
)
def test_images_that_rand_augment_cannot_take_are_named(torchvision, images, message):
    with pytest.raises(InputError, match=message):
        augmentation("rand_crop_flip", images)

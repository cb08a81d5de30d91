"""Augmentation against pictures whose pixels tell where they came from."""

import pytest
import torch

from landscape.core.data.augment import augment_batch, flip, shift
from landscape.core.data.batches import read_batches
from landscape.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int = 200, height: int = 16, width: int = 8) -> torch.Tensor:
    """Images whose first channel holds the row and whose second the column of each pixel."""
    rows = torch.arange(height).float()[:, None].expand(height, width)
    columns = torch.arange(width).float()[None].expand(height, width)
    return torch.stack([rows, columns]).repeat(count, 1, 1, 1)


def test_shift_moves_every_image_by_whole_pixels_and_repeats_the_border():
    """Independent: pixels name their origin, so that the shift can be read off and clamped at the border."""
    images = shift(numbered(), generator())
    down = images[:, 0, 8, 0] - 8
    right = images[:, 1, 0, 4] - 4
    rows = (torch.arange(16.0)[None] + down[:, None]).clamp(0, 15)
    columns = (torch.arange(8.0)[None] + right[:, None]).clamp(0, 7)
    assert torch.equal(images[:, 0], rows[:, :, None].expand(-1, 16, 8))
    assert torch.equal(images[:, 1], columns[:, None, :].expand(-1, 16, 8))
    assert set(down.tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}  # an eighth of 16
    assert set(right.tolist()) == {-1.0, 0.0, 1.0}


def test_a_margin_in_pixels_bounds_the_shift():
    """Independent: pixels name their origin; the moves of 200 images take every value within the margin."""
    images = shift(numbered(), generator(), margin=3)
    for moved in (images[:, 0, 8, 0] - 8, images[:, 1, 0, 4] - 4):
        assert set(moved.tolist()) == {-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0}
    given = batch(numbered(20))
    want = shift(given.inputs, generator(5), margin=3)
    assert torch.equal(augment_batch(given, "shift", 5, 3).inputs, want)


def test_flip_mirrors_half_of_the_images():
    """Independent: pixels name their column."""
    images = flip(numbered(), generator())
    mirrored = images[:, 1, 0, 0] == 7
    assert 70 < int(mirrored.sum()) < 130
    assert torch.equal(images[~mirrored], numbered()[~mirrored])
    assert torch.equal(images[mirrored], numbered()[mirrored].flip(-1))


def batch(images: torch.Tensor):
    data = (images, torch.arange(len(images)))
    return read_batches(data, batch_size=1000, device=torch.device("cpu"), dtype=None)[0]


def test_a_batch_changes_its_images_alone_and_by_its_seed():
    """Independent: a second draw, and the batch given."""
    given = batch(numbered(20))
    one, two, three = (augment_batch(given, "shift+flip", seed=s) for s in (1, 1, 2))
    assert torch.equal(one.inputs, two.inputs)
    assert not torch.equal(one.inputs, three.inputs)
    assert torch.equal(one.target, given.target)
    assert torch.equal(one.raw[0], one.inputs)
    assert torch.equal(given.inputs, numbered(20))


def test_a_function_is_given_images_and_a_generator():
    """Independent: the same draw made by hand."""
    given = batch(torch.ones(5, 3))
    changed = augment_batch(given, lambda x, g: x + torch.rand(x.shape, generator=g), seed=4)
    assert torch.equal(changed.inputs, 1 + torch.rand(5, 3, generator=generator(4)))


def test_what_cannot_be_augmented_is_named():
    """Independent: by inspection."""
    with pytest.raises(InputError, match=r"needs images .* \(5, 3\)"):
        augment_batch(batch(torch.ones(5, 3)), "flip", seed=0)
    with pytest.raises(InputError, match="did you mean 'shift'"):
        augment_batch(batch(numbered(2)), "shft", seed=0)
    with pytest.raises(InputError, match="keep the shape"):
        augment_batch(batch(numbered(2)), lambda x, g: x[:1], seed=0)

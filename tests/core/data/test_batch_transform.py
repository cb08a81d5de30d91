"""Transforms of whole mini-batches: what they may change, and the forms that are refused."""

from __future__ import annotations

import pytest
import torch

from landscape.core.data.batch_transform import takes_targets, transform_batch
from landscape.core.data.batches import read_batches
from landscape.errors import InputError


def batch(pair=True):
    x = torch.arange(24.0).reshape(4, 1, 2, 3)
    y = torch.tensor([0, 1, 2, 0])
    data = [(x, y)] if pair else [x]
    return read_batches(data, batch_size=4, device=torch.device("cpu"), dtype=None)[0]


def blend(images, targets, generator):
    share = torch.rand((), generator=generator)
    soft = torch.nn.functional.one_hot(targets, 3).float()
    return share * images + (1 - share) * images.flip(0), share * soft + (1 - share) * soft.flip(0)


def test_images_and_targets_change_together():
    """Oracle: the share read back off the images, and the targets made of it."""
    before = batch()
    after = transform_batch(before, blend, 3)
    share = ((after.inputs[0, 0, 0, 0] - 18.0) / (0.0 - 18.0)).item()
    expected = torch.tensor([[1.0, 0, 0], [0, share, 1 - share], [0, 1 - share, share], [1, 0, 0]])
    torch.testing.assert_close(after.target, expected)
    assert torch.equal(before.target, torch.tensor([0, 1, 2, 0]))


def test_random_numbers_follow_from_the_seed_and_leave_others_alone():
    """Oracle: the same seed twice, whatever the global generator holds; that one's next number."""

    def noisy(images, targets, generator):
        return images + torch.rand_like(images), targets  # of the global generator, as torchvision's

    torch.manual_seed(5)
    a = transform_batch(batch(), noisy, 1)
    next_number = torch.rand(())
    torch.manual_seed(5)
    assert torch.equal(torch.rand(()), next_number)
    assert torch.equal(a.inputs, transform_batch(batch(), noisy, 1).inputs)
    assert not torch.equal(a.inputs, transform_batch(batch(), noisy, 2).inputs)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x, y: (x, y), "failed: .*it is called with .images, targets, generator"),
        (lambda x, y, g: x, "returned a Tensor; return .images, targets"),
        (lambda x, y, g: (x, y, 0.5), "returned 3 values"),
        (lambda x, y, g: (x[:2], y[:2]), "images of shape .2, 1, 2, 3. for .4, 1, 2, 3.; keep the number"),
        (lambda x, y, g: (x, y.sum()), "targets of shape .. for .4,.; keep the number"),
        (lambda x, y, g: (x[..., :2], y), "turned images of shape"),
        (lambda x, y, g: (x, 3), "targets that are no tensors"),
        (lambda x, y, g: 1 / 0, "failed: division by zero"),
    ],
)
def test_wrong_forms_are_refused_in_words(function, says):
    with pytest.raises(InputError, match=says):
        transform_batch(batch(), function, 0)


def test_data_without_targets_are_refused():
    with pytest.raises(InputError, match="takes data of pairs"):
        transform_batch(batch(pair=False), blend, 0)


def test_which_functions_take_targets():
    """Oracle: by their arguments."""
    assert takes_targets(blend)
    assert takes_targets(lambda x, y, g, alpha=1.0: (x, y))
    assert not takes_targets(lambda x, g: x)

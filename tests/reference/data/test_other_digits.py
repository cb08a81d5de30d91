"""Digits that are none, against the digits they are made of."""

import torch

from landscape.reference.data import digits, inverted_digits, quartered_digits
from landscape.reference.data.digits import MEAN, STD


def test_pixels_are_inverted():
    """Oracle: pixels from 0 to 1, p and 1 − p."""
    x, y = inverted_digits(20, size=14)
    own, labels = digits("test", 20, size=14)
    torch.testing.assert_close(x * STD + MEAN, 1 - (own * STD + MEAN), rtol=0, atol=1e-5)
    assert torch.equal(y, labels)


def test_quarters_change_places():
    """Oracle: slices of the digits."""
    x, _ = quartered_digits(5, size=14)
    own, _ = digits("test", 5, size=14)
    assert torch.equal(x[..., :7, :7], own[..., 7:, 7:]) and torch.equal(x[..., 7:, :7], own[..., :7, 7:])

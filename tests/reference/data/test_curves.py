import math

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data.curves import CURVES, curve


@pytest.mark.parametrize("name", CURVES)
def test_curves_stay_within_one(name):
    """Oracle: their least and largest values on a fine grid, which reach both ends."""
    values = CURVES[name](np.linspace(-1, 1, 20001))
    assert values.min() == pytest.approx(-1.0, abs=1e-3)
    assert values.max() == pytest.approx(1.0, abs=1e-3)


def test_published_values():
    """Oracle: Forrester's function and Levy's by hand, before they are stretched."""
    at_half = (6 * 0.5 - 2) ** 2 * math.sin(12 * 0.5 - 4)
    low, high = -6.020740055766075, 15.829731945974109
    assert CURVES["forrester"](np.array([0.0]))[0] == pytest.approx(2 * (at_half - low) / (high - low) - 1)
    # Levy's function is 0 at 1, its minimum, and the curve there lies at -1
    assert CURVES["levy"](np.array([0.1]))[0] == pytest.approx(-1.0)


def test_points_come_first_in_the_test_part():
    """Oracle: the training part; the curve at every place; points of a part are those of all curves."""
    x, y = curve("train", "abs", part=2, count=5)
    at, values = curve("test", "abs", part=2, count=5)
    assert (x.shape, y.shape, at.shape) == ((5, 1), (5,), (205, 1))
    assert torch.equal(at[:5], x)
    torch.testing.assert_close(values, 2 * at[:, 0].abs() - 1)
    assert torch.equal(curve("train", "sine", part=2, count=5)[0], x)
    assert not torch.equal(curve("train", "abs", part=3, count=5)[0], x)


def test_what_cannot_be_is_said():
    """Oracle: the sentences the user must see."""
    for given, message in (
        ({"split": "held"}, "curve has no split 'held'"),
        ({"name": "sinus"}, "curve has no curve 'sinus'.* 'sine'"),
        ({"count": 0}, "count is at least 1 and part at least 0, not 0 and 0"),
    ):
        with pytest.raises(InputError, match=message):
            curve(**given)

"""Norms of several members against torch's BatchNorm, one member at a time."""

import math

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.layers import FiLMNorm2d


def maps(members, seed=0, n=6):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n * members, 3, 4, 5, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("members", [1, 3])
def test_each_member_is_a_batchnorm_of_its_own(members):
    """Oracle: torch's BatchNorm2d, fed each member's rows, with its γ, β and statistics; both modes."""
    layer = FiLMNorm2d(3, members).double()
    plain = [layer.plain(m) for m in range(members)]
    for step in range(3):
        x = maps(members, step)
        got = layer(x)
        for m, norm in enumerate(plain):
            torch.testing.assert_close(got[m::members], norm(x[m::members]))
    layer.eval()
    x = maps(members, 9)
    for m, norm in enumerate(plain):
        torch.testing.assert_close(layer(x)[m::members], norm.eval()(x[m::members]))
        again = layer.plain(m)
        assert not again.training
        torch.testing.assert_close(again.state_dict(), norm.state_dict())


def test_the_start_is_uniform_about_the_center():
    """Oracle: the formula by hand, g √(6/(M + C)): all within, both ends nearly reached; 0 is exact."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = FiLMNorm2d(100, 20, gain=3.0, center=0.5)
    reach = 3.0 * math.sqrt(6 / 120)
    for values, middle in ((layer.norm.weight, 0.5), (layer.norm.bias, 0.0)):
        away = (values - middle).abs()
        assert away.max() <= reach + 1e-6
        assert away.max() > 0.99 * reach
        assert abs(values.mean() - middle) < 5 * reach / math.sqrt(3 * 2000)
    same = FiLMNorm2d(4, 2, gain=0.0)
    assert same.norm.weight.eq(1).all()
    assert same.norm.bias.eq(0).all()
    like = FiLMNorm2d.like(nn.BatchNorm2d(4, eps=0.1, momentum=0.3), 2, 0.0, 1.0)
    assert (like.channels, like.norm.eps, like.norm.momentum) == (4, 0.1, 0.3)


def test_what_cannot_be_used_is_named():
    """Oracle: the sentences the user must see."""
    with pytest.raises(InputError, match="at least 1, not 3 and 0"):
        FiLMNorm2d(3, 0)
    with pytest.raises(InputError, match="gain is a number from 0 on, not -1"):
        FiLMNorm2d(3, 2, gain=-1)
    layer = FiLMNorm2d(3, 2)
    for shape in ((5, 3, 2, 2), (4, 2, 2, 2)):
        with pytest.raises(InputError, match="3 channels and 2 rows for each example"):
            layer(torch.zeros(shape))

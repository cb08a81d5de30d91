import pytest
import torch

from landscape.core.weights.quantisation import grid_step, quantised
from landscape.errors import InputError


def weights(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("bits", [2, 3, 8])
def test_values_are_the_nearest_of_a_listed_grid(bits, axis):
    """Oracle: the grid −q ... q times max/q written out, and the nearest of it by a table of distances."""
    w = weights(4, 3, 2)
    got = quantised(w, bits, axis)
    q = 2 ** (bits - 1) - 1
    parts = [(w, got)] if axis is None else list(zip(w.unbind(axis), got.unbind(axis), strict=True))
    for before, after in parts:
        grid = torch.arange(-q, q + 1, dtype=torch.float64) * before.abs().max() / q
        nearest = grid[(before.flatten()[:, None] - grid).abs().argmin(1)]
        torch.testing.assert_close(after.flatten(), nearest, rtol=1e-12, atol=1e-15)
        assert len(after.unique()) <= 2**bits - 1


def test_the_error_is_that_of_uniform_rounding():
    """Oracle: a uniform error on ±s/2 has the variance s²/12: Σ s²/12 within four errors of its mean."""
    w = weights(40, 500)
    steps = grid_step(w, 8).expand_as(w)
    error = (quantised(w, 8) - w).square()
    mean, exact = error.mean(), (steps.square() / 12).mean()
    assert abs(mean - exact) < 4 * error.std() / error.numel() ** 0.5


def test_many_bits_zeros_and_the_largest_stay():
    """Oracle: identity, for 32 bits, a channel of zeros, the largest magnitude and the grid itself."""
    w = weights(3, 5).float()
    w[1] = 0
    assert torch.equal(quantised(w, 32), w)
    once = quantised(w, 4)
    assert not once[1].any()
    torch.testing.assert_close(once.abs().amax(1), w.abs().amax(1))
    torch.testing.assert_close(quantised(once, 4), once)
    assert (quantised(w, 16) - w).abs().max() <= w.abs().max() / 2**15


def test_one_scale_a_channel_is_no_further():
    """Oracle: for any channel, a grid of a smaller step has the smaller largest error."""
    w = weights(6, 9) * torch.arange(1, 7)[:, None]
    assert (quantised(w, 3) - w).norm() < (quantised(w, 3, None) - w).norm()


def test_too_few_bits_are_refused_and_nan_stays():
    """Oracle: the sentence; NaN of one channel alone."""
    with pytest.raises(InputError, match="at least 2, a sign and a digit, not 1"):
        quantised(weights(2, 2), 1)
    w = weights(2, 3)
    w[0, 1] = float("nan")
    assert quantised(w, 4)[0].isnan().all()
    assert quantised(w, 4)[1].isfinite().all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bits", [8, 16, 24])
def test_half_precision_is_rounded_as_precisely_as_it_can_be(kind, bits):
    """Oracle: the same weights rounded in double precision, and then to the nearest number of half."""
    weight = (0.02 * weights(4, 64)).to(kind)
    found = quantised(weight, bits)
    assert found.dtype == kind
    exact = quantised(weight.double(), bits)
    bound = torch.finfo(kind).eps * weight.abs().max().double()
    assert (found.double() - exact).abs().max() <= bound


@pytest.mark.parametrize("bits", [2.5, float("nan")])
def test_parts_of_a_bit_are_refused(bits):
    with pytest.raises(InputError, match="bits"):
        grid_step(torch.ones(2, 2), bits)

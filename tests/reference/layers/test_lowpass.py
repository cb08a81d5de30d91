"""Low-pass subsampling: closed forms of Fourier modes, at even and odd sizes."""

import numpy as np
import pytest
import torch
from scipy.signal import firwin, freqz
from torch import nn

import landscape
from landscape.errors import InputError
from landscape.reference.layers.lowpass import LowPass2d, filter_separably, kaiser_taps, kaiser_window


def waves(n, ks, phase=0.7):
    """Modes of ks periods over n places, (k, n)."""
    return torch.cos(2 * torch.pi * ks.double()[:, None] * torch.arange(n, dtype=torch.float64) / n + phase)


@pytest.mark.parametrize("n", range(5, 34))
def test_every_mode_below_the_cut_is_sampled_exactly_and_none_above_is(n):
    """Oracle: a mode of k periods on n places is one of k periods on ⌈n/2⌉; 14 → 7 and the like included."""
    m, other = -(-n // 2), 9
    below, above = torch.arange(0, (m + 1) // 2), torch.arange(m // 2 + 1, n // 2 + 1)
    for ks, want in ((below, waves(m, below)), (above, torch.zeros(len(above), m, dtype=torch.float64))):
        maps = waves(n, ks)[:, :, None].expand(-1, -1, other)[:, None]
        want = want[:, :, None].expand(-1, -1, 5)[:, None]
        torch.testing.assert_close(LowPass2d("flc")(maps), want, atol=1e-13, rtol=0)
        torch.testing.assert_close(LowPass2d("flc")(maps.mT), want.mT, atol=1e-13, rtol=0)


def published(x):
    """The published code's cut, written out: shift, middle half, shift back."""
    modes = torch.fft.fftshift(torch.fft.fft2(x, norm="forward"), dim=(-2, -1))
    h, w = x.shape[-2:]
    modes = modes[..., int(h / 4) : int(3 * h / 4), int(w / 4) : int(3 * w / 4)]
    return torch.fft.ifft2(torch.fft.ifftshift(modes, dim=(-2, -1)), norm="forward").real


@pytest.mark.parametrize(("n", "agrees"), [(8, True), (16, True), (28, True), (14, False), (30, False)])
def test_published_code_is_wrong_at_sizes_two_modulo_four(n, agrees):
    """Oracle: 1 plus a cosine of one period, which both grids hold."""
    x = (1 + waves(n, torch.tensor([1]), 0.0)[0])[None, None, :, None].expand(1, 1, n, n)
    want = (1 + waves(n // 2, torch.tensor([1]), 0.0)[0])[None, None, :, None].expand(1, 1, n // 2, n // 2)
    assert (LowPass2d("flc")(x) - want).abs().max() < 1e-13
    error = (published(x) - want).abs().max().item()
    assert error < 1e-13 if agrees else error > 0.9


@pytest.mark.parametrize("nyquist", ["keep", "drop"])
def test_nyquist_mode_of_an_even_output(nyquist):
    """Oracle: the mode of 4 periods on 16 places lies on the new Nyquist frequency: halved, or gone."""
    maps = waves(16, torch.tensor([4]), 0.0)[:, None, :, None].expand(1, 1, 16, 16)
    out = LowPass2d("flc", nyquist=nyquist)(maps)[0, 0, :, 0]
    want = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64) / 2  # half of it: the mode −4, alone
    torch.testing.assert_close(out, want if nyquist == "keep" else torch.zeros(8, dtype=torch.float64))


def test_asap_weighs_modes_by_the_root_of_a_hamming_window():
    """Oracle: √(0.54 + 0.46 cos 2πf) at f = k/16, on both axes."""
    ks = torch.arange(4)
    maps = waves(16, ks)[:, None, :, None].expand(-1, 1, 16, 16)
    weights = (0.54 + 0.46 * torch.cos(2 * torch.pi * ks.double() / 16)).sqrt()
    want = weights[:, None] * waves(8, ks)
    torch.testing.assert_close(LowPass2d("asap")(maps)[:, 0, :, 0], want, atol=1e-13, rtol=0)


@pytest.mark.parametrize("kind", ["blur", "flc", "asap", "kaiser"])
@pytest.mark.parametrize("size", [(7, 10), (12, 9), (14, 16)])
def test_it_is_linear_with_the_right_adjoint_and_keeps_the_mean(kind, size):
    """Oracle: ⟨Ax, y⟩ = ⟨x, Aᵀy⟩ with Aᵀ of autograd, for random x and y; sizes; a constant stays."""
    layer = LowPass2d(kind, padding="circular")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    out = layer(x)
    assert out.shape == (2, 3, -(-size[0] // 2), -(-size[1] // 2))
    y = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    z = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    (adjoint,) = torch.autograd.grad((out * y).sum(), x)
    torch.testing.assert_close((layer(z) * y).sum(), (z * adjoint).sum())
    constant = torch.full((1, 1, *size), 0.3, dtype=torch.float64)
    torch.testing.assert_close(layer(constant), layer(constant)[:, :, :1, :1].expand(1, 1, *out.shape[-2:]))
    torch.testing.assert_close(layer(constant).mean(), constant.mean())


@pytest.mark.parametrize("kind", ["blur", "flc", "asap", "kaiser"])
def test_a_shift_by_the_stride_is_a_shift_by_one(kind):
    """Oracle: translation on a periodic map of even size."""
    layer = LowPass2d(kind, padding="circular")
    x = torch.randn(1, 2, 12, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(layer(x.roll((2, 4), (-2, -1))), layer(x).roll((1, 2), (-2, -1)))


def test_kaiser_filter_is_that_of_firwin_and_blur_is_binomial():
    """Oracle: scipy's design and frequency response; the outer product [1 2 1]ᵀ[1 2 1]/16."""
    for taps, cutoff in ((3, 0.25), (5, 0.25), (7, 0.125)):
        h = np.array(kaiser_window(taps, cutoff))
        want = firwin(taps, cutoff, width=2 * (0.5 - cutoff), fs=1)
        np.testing.assert_allclose(h, want / want.sum(), rtol=1e-12)
        np.testing.assert_allclose(h, h[::-1])
        assert h.sum() == pytest.approx(1.0)
        _, gain = freqz(h, worN=[0.0, 0.5 - 1e-9], fs=1.0)
        assert abs(gain[0]) == pytest.approx(1) and abs(gain[1]) < abs(gain[0])
    assert [kaiser_taps(n) for n in (7, 14, 15, 22, 23, 64)] == [3, 3, 5, 5, 7, 7]
    assert kaiser_window(3, 0.5) == (0.0, 1.0, 0.0)
    impulse = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    impulse[0, 0, 2, 2] = 1
    binomial = torch.tensor([1.0, 2.0, 1.0]).double()
    spread = filter_separably(impulse, binomial / 4)[0, 0, 1:4, 1:4]
    torch.testing.assert_close(spread, binomial.outer(binomial) / 16)
    torch.testing.assert_close(LowPass2d("blur", 1)(impulse)[0, 0, 1:4, 1:4], binomial.outer(binomial) / 16)


def test_half_precision_and_stride_one():
    """Oracle: the same in single precision, to half's rounding; a stride of one loses nothing."""
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(LowPass2d("flc")(x.bfloat16()).float(), LowPass2d("flc")(x), atol=0.02, rtol=0)
    torch.testing.assert_close(LowPass2d("flc", 1)(x), x)


def folded(gain):
    """Share of folded power at the 48 modes of 8 × 8 places below its Nyquist frequency, mean left out.

    White noise on 16 × 16 has equal power at the modes k and k + 8 of each axis that meet at one of them.
    """
    k = np.arange(-3, 4)
    low, high = gain(k / 16) ** 2, gain((8 - np.abs(k)) / 16) ** 2
    own = np.outer(low, low)
    whole = np.outer(low + high, low + high)
    own[3, 3] = 0
    mean = whole[3, 3]
    return 1 - own.sum() / (whole.sum() - mean)


@pytest.mark.parametrize(
    ("layer", "share"),
    [
        (nn.MaxPool2d(1, stride=2), folded(lambda f: 1 + 0 * f)),
        (LowPass2d("blur", padding="circular"), folded(lambda f: np.cos(np.pi * f) ** 2)),
        (LowPass2d("flc"), 0.0),
        (LowPass2d("flc", nyquist="drop"), 0.0),
        (LowPass2d("asap"), 0.0),
    ],
)
def test_aliasing_of_white_noise(layer, share):
    """Oracle: what |H|² leaves of the modes that meet; a stride folds three of four, a cut of modes none."""
    x = torch.randn(300, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(64, 2))
    problem = landscape.Problem(model, "cross_entropy", (x, torch.arange(300) % 2))
    ds = landscape.transfer(problem)
    assert float(ds["aliasing"].sel(layer="0")) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "fft"}, "no kind 'fft'"),
        ({"stride": 0}, "stride must be at least 1"),
        ({"kind": "kaiser", "cutoff": 0.6}, "cutoff lies above 0"),
        ({"kind": "kaiser", "taps": 4}, "taps is an odd number"),
        ({"nyquist": "half"}, "no nyquist 'half'"),
        ({"padding": "none"}, "no padding 'none'"),
    ],
)
def test_bad_settings_are_named(options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        LowPass2d(**options)

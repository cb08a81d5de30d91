"""Frequency dropout: gains at frequency zero and everywhere, what is drawn and when it is off."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.errors import InputError
from landscape.reference.layers.filtering import FilterRanges, FrequencyDropout, draw_filters, filter_kernels

KINDS = ("gaussian", "log", "gabor", "highpass")
WIDTHS = torch.tensor([0.05, 0.2, 0.577, 1.0, 3.0], dtype=torch.float64)


@pytest.fixture(autouse=True)
def double():
    """Kernels in double precision, so that formulas may be held to their last digits."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_gains_at_frequency_zero():
    """Oracle: 1, 1 and 0; of the Gabor filter 3(1 − e^{−1/2σ²}), since cos(2π/3) = −1/2 at both sides."""
    gains = {kind: filter_kernels(kind, WIDTHS).sum((1, 2, 3)) for kind in KINDS}
    torch.testing.assert_close(gains["gaussian"], torch.ones(5))
    torch.testing.assert_close(gains["log"], torch.ones(5))
    torch.testing.assert_close(gains["highpass"], torch.zeros(5), atol=1e-15, rtol=0)
    torch.testing.assert_close(gains["gabor"], 3 * (1 - torch.exp(-0.5 / WIDTHS**2)))
    assert filter_kernels("gabor", [1e-3, 1.0]).sum((1, 2, 3)).tolist() == pytest.approx(
        [3.0, 1.18], abs=1e-2
    )


def test_values_by_hand_at_a_width_of_one():
    """Oracle: e^{−1/2} and e^{−1} at r² = 1 and 2, written out; the published LoG has no sum of zero."""
    a, b = math.exp(-0.5), math.exp(-1.0)
    gaussian = np.array([[b, a, b], [a, 1, a], [b, a, b]]) / (1 + 4 * a + 4 * b)
    log = np.array([[0, a / 2, 0], [a / 2, 1, a / 2], [0, a / 2, 0]]) / (1 + 2 * a)
    row = np.array([-a / 2, 1, -a / 2])
    for kind, want in (("gaussian", gaussian), ("log", log), ("gabor", np.tile(row, (3, 1)))):
        np.testing.assert_allclose(filter_kernels(kind, [1.0])[0, 0].numpy(), want, atol=1e-15)


def test_the_published_log_sharpens_when_narrow_and_blurs_when_wide():
    """Oracle: gains at the highest frequency of one axis, by hand: 1.0, 9.0, 0.45, −0.28; 1 at zero."""
    taps = filter_kernels("log", [0.2, 0.577, 1.0, 3.0])[:, 0]
    gains = (taps * torch.tensor([-1.0, 1.0, -1.0])).sum((1, 2)).tolist()
    assert gains == pytest.approx([1.0, 9.0, 0.45, -0.28], abs=0.05)


def test_the_sum_that_the_log_is_divided_by_is_never_zero():
    """Oracle: 1 + 4(1−u)e^{−u} + 4(1−2u)e^{−2u} for all u = 1/2σ², least 0.155 near u = 1.5."""
    u = torch.logspace(-6, 4, 20001)
    total = 1 + 4 * (1 - u) * torch.exp(-u) + 4 * (1 - 2 * u) * torch.exp(-2 * u)
    assert total.min().item() == pytest.approx(0.155, abs=1e-3)
    assert u[total.argmin()].item() == pytest.approx(1.5, abs=0.1)
    # the kernel's centre is one over it
    centre = filter_kernels("log", (0.5 / u).sqrt())[:, 0, 1, 1]
    torch.testing.assert_close(centre, 1 / total)


@pytest.mark.parametrize("kind", KINDS)
def test_no_width_is_the_identity_and_none_is_nan(kind):
    """Oracle: a one amid zeros, exactly, also where the formula of the Gabor filter has 0/0."""
    kernels = filter_kernels(kind, [0.0, 1e-200, 1e-30, 1e30], 5)
    want = torch.zeros(5, 5)
    want[2, 2] = 1
    assert torch.equal(kernels[0, 0], want)
    assert kernels.isfinite().all()
    x = torch.randn(2, 3, 6, 7, generator=generator())
    layer = FrequencyDropout(3)
    layer.kernels = filter_kernels(kind, [0.0] * 3)
    assert torch.equal(layer(x), x)


@pytest.mark.parametrize("kind", KINDS)
def test_transfer_of_white_noise_is_the_frequency_response(kind):
    """Oracle: |Σ taps e^{−iωx}| by numpy, root mean square over the modes of each bin; sampling error.

    The noise has a margin of zeros, so that it meets no edge, and is white nevertheless. `transfer` looks at
    convolutions: this one is the identity, and the filter stands behind it as in training.
    """
    layer = FrequencyDropout(1, eval_filters=True)
    layer.kernels = filter_kernels(kind, [0.7])
    x = torch.zeros(300, 1, 24, 24)
    x[:, :, 1:-1, 1:-1] = torch.randn(300, 1, 22, 22, generator=generator())
    convolution = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight)
    convolution.register_forward_hook(lambda *call: layer(call[2]))
    model = nn.Sequential(convolution, nn.Flatten(), nn.Linear(576, 2)).eval()
    problem = landscape.Problem(model, "cross_entropy", (x, torch.arange(300) % 2))
    ds = landscape.transfer(problem, kinds=("convolution",), bootstrap=2, images=300).isel(layer=0)
    power = np.abs(np.fft.fft2(layer.kernels[0, 0].numpy(), (24, 24))) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(24), np.fft.fftfreq(24)))
    centres = ds["radius"].values
    nearest = np.abs(radius[..., None] - centres).argmin(-1)
    for place in np.flatnonzero((centres > 0.05) & (centres < 0.45)):
        want = np.sqrt(power[nearest == place].mean())
        assert float(ds["transfer"][place]) == pytest.approx(want, rel=0.05)


def test_it_is_off_in_eval_mode_unless_told_and_leaves_no_state():
    """Oracle: the maps themselves; an empty state dict."""
    x = torch.randn(2, 4, 5, 5, generator=generator())
    layers = [FrequencyDropout(4), FrequencyDropout(4, eval_filters=True)]
    assert all(torch.equal(layer(x), x) for layer in layers)  # nothing is drawn yet
    ranges = FilterRanges(("gaussian",), low=(0.5,), identity=(0.0,))
    for layer in layers:
        draw_filters([layer], ranges, generator())
        assert layer.state_dict() == {}
        assert not torch.allclose(layer(x), x)
        layer.eval()
    assert torch.equal(layers[0](x), x)
    assert not torch.allclose(layers[1](x), x)


def test_draws_repeat_and_share_one_kind():
    """Oracle: equal generators; every kind turns up; sums of kernels tell that all are of the one named."""
    ranges = FilterRanges(("gaussian", "highpass"), identity=(0.0, 0.0))
    seen = set()
    for seed in range(12):
        layers = [FrequencyDropout(5), FrequencyDropout(7)]
        kind = draw_filters(layers, ranges, generator(seed))
        again = [FrequencyDropout(5), FrequencyDropout(7)]
        assert draw_filters(again, ranges, generator(seed)) == kind
        for layer, other in zip(layers, again, strict=True):
            assert torch.equal(layer.kernels, other.kernels)
            sums = layer.kernels.sum((1, 2, 3))
            torch.testing.assert_close(
                sums, torch.full_like(sums, float(kind == "gaussian")), atol=1e-12, rtol=0
            )
        seen.add(kind)
    assert seen == {"gaussian", "highpass"}


@pytest.mark.parametrize("kind", KINDS)
def test_share_of_channels_left_alone_and_widths_within_bounds(kind):
    """Oracle: binomial share within four deviations; σ read back from the ratio of two taps."""
    layer, ranges = FrequencyDropout(4000), FilterRanges((kind,))
    draw_filters([layer], ranges, generator(1))
    ((low, high, share),) = ranges.of_kinds()
    identity = filter_kernels(kind, [0.0])[0]
    alone = (layer.kernels == identity).all(-1).all(-1).all(-1)
    assert abs(alone.double().mean().item() - share) < 4 * (share * (1 - share) / 4000) ** 0.5 + 0.01
    if kind == "gaussian":
        taps = layer.kernels[~alone, 0]
        sigma = (-0.5 / torch.log(taps[:, 1, 2] / taps[:, 1, 1])).sqrt()
        assert low <= sigma.min() and sigma.max() <= high
        assert sigma.mean().item() == pytest.approx((low + high) / 2, abs=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ("sobel",)}, "no filter 'sobel'"),
        ({"kinds": ()}, "one kind of filter or more"),
        ({"size": 4}, "size is an odd number"),
        ({"low": (0.1,)}, "low has 1 numbers for 3 kinds"),
        ({"kinds": ("log",), "low": (4.0,)}, "σ of log goes from 4.0 to 3.0"),
        ({"kinds": ("log",), "identity": (1.5,)}, "identity is a share"),
    ],
)
def test_bad_settings_are_named(options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        FilterRanges(**options)
    with pytest.raises(InputError, match="channels must be at least 1"):
        FrequencyDropout(0)


def test_wide_log_filters_and_impossible_widths_are_refused():
    """Oracle: of 5×5 pixels the gains at σ = 0.7 are beyond any use, where those of 3×3 are at most 12."""
    assert filter_kernels("log", [0.7], 5).abs().sum() > 100
    sizes = torch.linspace(0.05, 5.0, 400)
    assert filter_kernels("log", sizes, 3).abs().sum((1, 2, 3)).max() < 12
    with pytest.raises(InputError, match="log filters of 5×5 pixels"):
        FilterRanges(size=5)
    assert FilterRanges(("gaussian", "gabor"), size=5).size == 5
    for sigma in (-1.0, math.nan):
        with pytest.raises(InputError, match="σ is a number of pixels from 0 on"):
            filter_kernels("gaussian", [sigma])
    with pytest.raises(InputError, match="size is an odd number"):
        filter_kernels("gaussian", [1.0], 4)

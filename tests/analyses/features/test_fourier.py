"""``fourier`` against closed forms: noise, cosines, smoothing, and the published formula in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, Patches, SelfAttention, generator, images, uneven
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError


class Gain(nn.Module):
    """A layer whose output is its input."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.gain


def energy(output, _):
    return output.flatten(1).square().mean(1)


def watch(x, *layers, **options):
    """The Fourier dataset of layers that see ``x``; by default of one layer that passes it on."""
    model = nn.Sequential(*(layers or (Gain(),))).to(x.dtype)
    problem_options = {k: options.pop(k) for k in ("batch_size", "forward") if k in options}
    problem = Problem(model, energy, (x, torch.zeros(len(x))), **problem_options)
    return landscape.fourier(problem, **options)


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


# Default form


@pytest.mark.parametrize(
    "shape", [(300, 1, 8, 8), (300, 3, 12, 12), (200, 2, 15, 15), (200, 2, 8, 14), (40, 32, 28, 28)]
)
def test_white_noise_is_zero(shape):
    """Oracle: flat expected power; bounds of 4.5 standard errors from the bootstrap, all bins at once."""
    ds = watch(noise(*shape)).isel(layer=0)
    se = (ds["log_power_interval"].sel(bound="high") - ds["log_power_interval"].sel(bound="low")) / 3.92
    filled = ds["bin_count"] > 0
    assert (np.abs(ds["log_power"]) < 4.5 * se)[filled].all()
    ratio_se = float(np.ptp(ds["high_low_interval"].values)) / 3.92
    assert abs(float(ds["high_low"])) < 4.5 * ratio_se
    assert abs(float(ds["slope"])) < 4.5 * float(ds["slope_se"])
    assert float(ds["ac_power"]) == pytest.approx(1.0, abs=0.05)
    assert np.isnan(ds["log_power"])[~filled].all()


def test_a_constant_offset_of_a_thousand_does_not_move_it():
    """Oracle: the maps without it; float32, so rounding of the maps themselves is 6e-5."""
    x = noise(20, 3, 14, 14, dtype=torch.float32)
    plain, offset = watch(x), watch(x + 1e3)
    for name, tolerance in (("log_power", 5e-3), ("high_low", 1e-3), ("slope", 1e-2)):
        np.testing.assert_allclose(offset[name], plain[name], atol=tolerance)
    assert abs(float(offset["delta_log_amplitude"][0] - plain["delta_log_amplitude"][0])) > 5  # as documented


def test_dead_channels_do_not_move_it():
    """Oracle: the live channels alone; the compatibility form moves, as documented."""
    x = noise(20, 3, 14, 14)
    dead = torch.cat([x, torch.zeros_like(x)], dim=1)
    plain, half = watch(x), watch(dead)
    for name in ("log_power", "high_low", "slope", "slope_se", "log_power_interval"):
        np.testing.assert_allclose(half[name], plain[name], rtol=1e-9, atol=1e-12)
    assert float(half["ac_power"][0]) == pytest.approx(float(plain["ac_power"][0]) / 2)
    assert float(half["delta_log_amplitude"][0]) == pytest.approx(float(plain["delta_log_amplitude"][0]) / 2)


def test_scale_does_not_move_it():
    """Oracle: relative power; images of different contrast are weighted by their power."""
    x = noise(20, 3, 14, 14)
    np.testing.assert_allclose(watch(100 * x)["log_power"], watch(x)["log_power"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("ky", "kx", "high"), [(0, 1, False), (3, 0, False), (4, 4, True), (0, 7, True), (7, 1, True)]
)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 20), (15, 18)])
def test_a_cosine_fills_one_bin_and_one_band(height, width, ky, kx, high):
    """Oracle: r = √((ky/H)² + (kx/W)²); ln(power · modes / AC sum) = ln of the share of modes."""
    y, x = np.mgrid[:height, :width]
    wave = np.cos(2 * np.pi * (ky * y / height + kx * x / width) + 0.3)
    ds = watch(torch.from_numpy(wave)[None, None].repeat(2, 1, 1, 1)).isel(layer=0)
    r = np.hypot(ky / height, kx / width)
    i = int(np.abs(ds["radius"].values - r).argmin())
    assert int(np.nanargmax(ds["log_power"])) == i
    modes, total = int(ds["bin_count"][i]), height * width - 1
    assert float(ds["log_power"][i]) == pytest.approx(np.log(total / modes), rel=1e-6)
    assert (float(ds["high_low"]) > 20) == high
    assert (float(ds["high_low"]) < -20) == (not high)


def test_slope_recovers_an_exponential_spectrum():
    """Oracle: maps built with |F|² = exp(−a r) and random phases have slope −a."""
    side, a = 28, 6.0
    r = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    phases = np.fft.fft2(noise(30, 2, side, side).numpy())
    maps = np.fft.ifft2(phases / np.abs(phases) * np.exp(-a * r / 2)).real
    ds = watch(torch.from_numpy(maps.copy()))
    assert float(ds["slope"][0]) == pytest.approx(-a, rel=0.01)
    assert float(ds["slope_se"][0]) < 1e-9
    assert float(ds["high_low"][0]) < 0


def test_powers_satisfy_parseval():
    """Oracle: the variance over space, in NumPy."""
    x = noise(7, 3, 9, 13)
    ds = watch(x)
    variance = x.numpy().var((2, 3)).mean() * (9 * 13) / (9 * 13 - 1)
    assert float(ds["ac_power"][0]) == pytest.approx(variance, rel=1e-12)
    sums = (ds["image_power"] * ds["bin_count"]).sum("radius").isel(layer=0).values
    np.testing.assert_allclose(sums, x.numpy().var((2, 3)).mean(1) * 9 * 13, rtol=1e-5)


def test_bands_are_compared_by_their_mean_power_over_images():
    """Oracle: NumPy's full transform, masks by radius; images of very different contrast."""
    x = noise(20, 3, 12, 10) * torch.logspace(-2, 1, 20).double()[:, None, None, None]
    power = (np.abs(np.fft.fft2(x.numpy(), norm="ortho")) ** 2).mean(1)
    r = np.hypot(np.fft.fftfreq(12)[:, None], np.fft.fftfreq(10)[None])
    high, low = power[:, (r > 0.2501) & (r < 0.5001)].mean(1), power[:, (r > 0) & (r < 0.2501)].mean(1)
    ds = watch(x).isel(layer=0)
    assert float(ds["high_low"]) == pytest.approx(np.log(high.mean() / low.mean()), rel=1e-9)
    kept = ~np.eye(20, dtype=bool)
    each = np.array([np.log(high[k].mean() / low[k].mean()) for k in kept])
    se = np.sqrt(19 / 20 * ((each - each.mean()) ** 2).sum())
    assert float(np.ptp(ds["high_low_interval"].values)) == pytest.approx(2 * 1.96 * se, rel=0.5)


@pytest.mark.parametrize("side", [3, 4, 5, 6])
def test_maps_under_seven_pixels_have_a_ratio_but_no_slope(side):
    """Oracle: definitions: too few modes for a slope."""
    ds = watch(noise(30, 4, side, side)).isel(layer=0)
    assert np.isnan(ds["slope"])
    assert np.isnan(ds["slope_se"])
    assert np.isfinite(ds["high_low"]) == (side > 3)  # the lowest mode of a 3 x 3 map is at 1/3
    assert np.isfinite(watch(noise(30, 4, 7, 7))["slope"]).all()
    assert np.isnan(watch(noise(30, 4, 6, 9))["slope"]).all()


# Compatibility form


@pytest.mark.parametrize("side", [6, 7, 8, 13, 14])
def test_the_compatibility_form_is_the_published_formula(side):
    """Oracle: its literal steps in NumPy: ln(|FFT2| + 1e-6), mean of logs, shift, diagonal, minus DC."""
    x = noise(5, 3, side, side)
    ds = watch(x).isel(layer=0)
    A = np.log(np.abs(np.fft.fft2(x.numpy())) + 1e-6).mean((0, 1))
    half = np.diag(np.fft.fftshift(A))[int(side / 2) :]
    expected = half - half[0]
    found = ds["log_amplitude"].values
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert float(ds["delta_log_amplitude"]) == pytest.approx(expected[-1], rel=1e-10)
    np.testing.assert_allclose(ds["omega"], 2 * np.arange(len(half)) / side, rtol=1e-15)
    each = np.log(np.abs(np.fft.fft2(x.numpy())) + 1e-6).mean(1)
    last = len(half) - 1
    rows = each[:, last, last] - each[:, 0, 0]
    assert float(ds["delta_log_amplitude_se"]) == pytest.approx(rows.std(ddof=1) / 5**0.5, rel=1e-9)


def test_white_noise_is_half_ln_two_in_the_compatibility_form():
    """Oracle: E ln|F| of a complex Gaussian mode exceeds that of the real DC mode by ½ ln 2."""
    ds = watch(noise(400, 8, 8, 8)).isel(layer=0)
    assert abs(float(ds["delta_log_amplitude"]) - 0.5 * np.log(2)) < 4 * float(ds["delta_log_amplitude_se"])


def test_smoothing_has_its_transfer_function():
    """Oracle: [1, 2, 1]/4 along both axes, circular: |T(ω, ω)| = cos⁴(ω/2) on the diagonal."""
    blur = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    with torch.no_grad():
        blur.weight.copy_(torch.outer(kernel, kernel))
    ds = watch(10 * noise(6, 1, 16, 16), Gain(), blur)
    change = ds["log_amplitude"].isel(layer=1) - ds["log_amplitude"].isel(layer=0)
    omega = 2 * np.pi * np.arange(8) / 16
    np.testing.assert_allclose(change, 4 * np.log(np.cos(omega / 2)), atol=2e-5)
    assert float(ds["high_low"][1]) < float(ds["high_low"][0]) - 1


def test_maps_that_are_not_square_have_no_compatibility_form():
    """Oracle: NaN; the diagonal is not defined."""
    ds = watch(noise(5, 2, 8, 12))
    assert np.isnan(ds["log_amplitude"]).all()
    assert np.isnan(ds["delta_log_amplitude"]).all()
    assert np.isfinite(ds["high_low"]).all()


# Errors


def test_bootstrap_intervals_hold_the_estimate_and_have_its_width():
    """Oracle: the delete-one jackknife in NumPy: intervals span about 2 · 1.96 of its standard errors."""
    x = noise(60, 2, 14, 14) * (1 + torch.rand(60, 1, 1, 1, generator=generator(1)).double())
    ds = watch(x, bootstrap=1000).isel(layer=0)
    filled = ds["bin_count"].values > 0
    low, high = ds["log_power_interval"].values[:, filled]
    estimate = ds["log_power"].values[filled]
    assert ((low < estimate) & (estimate < high)).all()
    power = ds["image_power"].values[:, filled].astype(np.float64)
    counts = ds["bin_count"].values[filled]
    ac = power @ counts / counts.sum()
    np.testing.assert_allclose(np.log(power.mean(0) / ac.mean()), estimate, atol=1e-5)
    kept = ~np.eye(60, dtype=bool)
    each = np.array([np.log(power[k].mean(0) / ac[k].mean()) for k in kept])
    se = np.sqrt(59 / 60 * ((each - each.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose((high - low) / (2 * 1.96 * se), 1.0, atol=0.2)
    assert low.shape == (filled.sum(),)


def test_slope_error_is_that_of_the_jackknife():
    """Oracle: the delete-one jackknife of the slope in NumPy."""
    x = noise(80, 2, 9, 9)
    slopes = np.array(
        [float(watch(torch.cat([x[:i], x[i + 1 :]]), bootstrap=2)["slope"][0]) for i in range(80)]
    )
    jackknife = np.sqrt(79 / 80 * ((slopes - slopes.mean()) ** 2).sum())
    assert float(watch(x)["slope_se"][0]) == pytest.approx(jackknife, rel=0.1)


def test_one_image_has_no_errors():
    """Oracle: nothing to resample: intervals and standard errors are NaN."""
    ds = watch(noise(1, 3, 8, 8)).isel(layer=0)
    assert np.isnan(ds["slope_se"])
    assert np.isnan(ds["delta_log_amplitude_se"])
    assert np.isnan(ds["high_low_interval"]).all()


def test_a_dead_layer_is_nan_and_spares_the_others():
    """Oracle: 0/0 is not a number; the layer before it keeps its values."""

    class Dead(nn.Module):
        def forward(self, x):
            return x * 0.0

    x = noise(5, 2, 8, 8)
    ds = watch(x, Gain(), Dead())
    for name in ("log_power", "high_low", "slope", "slope_se"):
        assert np.isnan(ds[name].isel(layer=1)).all(), name
    np.testing.assert_array_equal(ds["high_low"][0], watch(x)["high_low"][0])
    assert float(ds["delta_log_amplitude"][1]) == 0.0
    assert list(landscape.fourier.plots({"a": ds}))
    assert list(landscape.fourier.summary(ds))


# Layers


class Tangle(nn.Module):
    """Defined in another order than called; one convolution used twice; an in-place ReLU."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 3)
        self.act = nn.ReLU(inplace=True)
        self.again = nn.Conv2d(3, 3, 3, padding=1)
        self.stem = nn.Conv2d(1, 3, 3, padding=1, stride=2)

    def forward(self, x):
        x = self.act(self.stem(x))
        return self.head(self.again(self.again(x)).mean((2, 3)))


def test_layers_come_in_firing_order_with_call_indices_and_their_own_outputs():
    """Oracle: the layers by hand; an in-place ReLU must not stand in for its input."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Tangle().double()
    x, y = images(9, 16)
    ds = landscape.fourier(Problem(model, "cross_entropy", (x, y), batch_size=4))
    assert list(ds["layer"].values) == ["stem", "act", "again", "again#1"]
    assert list(ds["module_class"].values) == ["Conv2d", "ReLU", "Conv2d", "Conv2d"]
    np.testing.assert_allclose(ds["depth"], [0, 1 / 3, 2 / 3, 1])
    assert ds["height"].values.tolist() == ds["width"].values.tolist() == [8] * 4
    with torch.no_grad():
        stem = F.conv2d(x, model.stem.weight, model.stem.bias, stride=2, padding=1)
        maps = [stem, stem.relu(), model.again(stem.relu()), model.again(model.again(stem.relu()))]
    for power, out in zip(ds["ac_power"].values, maps, strict=True):
        assert power == pytest.approx(out.numpy().var((2, 3)).mean() * 64 / 63, rel=1e-10)


def test_tokens_are_a_grid_without_the_class_token():
    """Oracle: the patch grid by hand: the qkv projection of a 2 × 2 ... 8 × 8 patch transformer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Patches().double()
    x, y = images(6, 16)
    ds = landscape.fourier(Problem(model, "cross_entropy", (x, y)))
    assert list(ds["layer"].values) == ["embed", "norm", "qkv", "out"]
    assert ds["channels"].values.tolist() == [4, 4, 12, 4]
    assert ds["height"].values.tolist() == [8] * 4
    with torch.no_grad():
        tokens = model.embed(x).flatten(2).transpose(1, 2)  # class token left out by hand
        grid = model.norm(tokens).transpose(1, 2).reshape(6, 4, 8, 8).numpy()
    found = float(ds["ac_power"].sel(layer="norm"))
    assert found == pytest.approx(grid.var((2, 3)).mean() * 64 / 63, rel=1e-10)


def test_insides_of_fused_encoders_are_seen():
    """Oracle: the layers of ``nn.TransformerEncoder``, which torch fuses where no gradient is asked for."""

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch = nn.Conv2d(1, 4, 2, stride=2)
            layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.encoder(self.patch(x).flatten(2).transpose(1, 2)).mean(1))

    x, y = images(5, 16)
    ds = landscape.fourier(Problem(Encoder().double(), "cross_entropy", (x, y)))
    layers = list(ds["layer"].values)
    for name in ("encoder.layers.0.self_attn", "encoder.layers.1.linear1", "encoder.layers.1.norm2"):
        assert name in layers
    assert set(ds["height"].values) == {8}


@pytest.mark.parametrize("sizes", [[13], [6, 1, 6], [1] * 13])
def test_batches_do_not_matter(sizes):
    """Oracle: the whole data at once, bit for bit up to rounding of the forward pass."""
    case = CASES["conv_batchnorm"]
    x = images(13, 16)
    whole = landscape.fourier(Problem(case.model(), "cross_entropy", x))
    parts = landscape.fourier(Problem(case.model(), "cross_entropy", uneven(x, sizes)))
    assert list(parts["layer"].values) == list(whole["layer"].values)
    for name in ("log_power", "high_low", "slope", "delta_log_amplitude", "log_power_interval", "slope_se"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-8, atol=1e-10, err_msg=name)


def test_globs_choose_layers():
    """Oracle: the names, written out."""
    problem = Problem(CASES["conv_batchnorm"].model(), "cross_entropy", images(5, 16))
    assert list(landscape.fourier(problem, layers=["body.[03]"])["layer"].values) == ["body.0", "body.3"]


def test_evaluation_mode_is_used():
    """Oracle: dropout would change the power; the layer's output must be its input's."""
    x = noise(5, 2, 8, 8)
    ds = watch(x, Gain(), nn.Dropout(0.5), Gain())
    np.testing.assert_array_equal(ds["ac_power"].values[0], ds["ac_power"].values[-1])


def test_a_token_count_that_is_square_only_without_a_prefix_can_be_forced():
    """Oracle: 17 tokens: one before a 4 × 4 grid by default; with prefix 0 no grid at all."""

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = Gain()

        def forward(self, x):
            tokens = x.flatten(2).transpose(1, 2)
            return self.gain(torch.cat([tokens[:, :1], tokens], dim=1))

    x = noise(5, 3, 4, 4)  # tokens are a picture only where they were made of one
    problem = Problem(Tokens().double(), energy, (x, torch.zeros(5)))
    assert landscape.fourier(problem)["height"].values.tolist() == [4]
    with pytest.raises(InputError, match=r"no output of Tokens .* is a map"):
        landscape.fourier(problem, prefix_tokens=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": ["bodi.*"]}, r"no layer of ConvNet matches 'bodi.\*'; did you mean"),
        ({"layers": ["head"]}, "no output of ConvNet matching head is a map"),
        ({"bins": 3}, "option 'bins'"),
        ({"bootstrap": 1}, "option 'bootstrap'"),
        ({"layer": ["body.*"]}, "no option 'layer'; did you mean 'layers'"),
    ],
)
def test_useless_options_are_refused(options, words):
    """Oracle: the key words of the sentence."""
    with pytest.raises(InputError, match=words):
        landscape.fourier(Problem(CASES["conv_batchnorm"].model(), "cross_entropy", images()), **options)


def test_a_model_without_maps_is_refused():
    """Oracle: the sentence says what is needed."""
    with pytest.raises(
        InputError, match=r"no output of Sequential .* \(B, C, H, W\).*needs images \(B, C, H, W\) as inputs"
    ):
        landscape.fourier(CASES["mlp"].problem())


def test_images_of_different_sizes_are_refused():
    """Oracle: their spectra have different modes; the sentence names the layer and both sizes."""
    x = noise(4, 1, 16, 16)
    data = [(x, torch.zeros(4)), (x[..., :8, :8], torch.zeros(4))]
    model = nn.Sequential(Gain()).double()
    with pytest.raises(InputError, match=r"layer '0' .* 16 × 16 .* 8 × 8"):
        landscape.fourier(Problem(model, energy, data))


def test_a_sequence_of_square_length_passes_for_a_grid():
    """Oracle: four tokens are a 2 × 2 grid; nothing tells them from patches, as the option says."""
    problem = Problem(SelfAttention().double(), "cross_entropy", images())
    assert landscape.fourier(problem)["height"].values.tolist() == [2]


def test_the_same_seed_gives_the_same_bits():
    """Oracle: repetition; another seed moves the intervals only."""
    x = noise(9, 2, 8, 8)
    first, again, other = watch(x), watch(x), watch(x, seed=1)
    assert first["log_power_interval"].values.tobytes() == again["log_power_interval"].values.tobytes()
    assert first["log_power"].values.tobytes() == other["log_power"].values.tobytes()
    assert first["log_power_interval"].values.tobytes() != other["log_power_interval"].values.tobytes()

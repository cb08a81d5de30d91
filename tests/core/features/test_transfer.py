"""Transfer functions of filters whose transfer function is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.core.features.collect import collect
from landscape.core.features.fourier import RadialBins
from landscape.core.features.transfer import TransferCollector, low_pass, low_pass_box
from landscape.core.features.units import Selection
from landscape.reference.layers import LowPass2d

SIZE, BINS = 8, 4


def passed(layer, x):
    """What a collector sees of one layer on images."""
    model = nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(3)).double()
    with torch.no_grad():
        model(x)
    problem = Problem(model, "cross_entropy", (x, torch.arange(len(x)) % 3), batch_size=3)
    collector = TransferCollector(Selection(("0",)), BINS, None, 64)
    assert collect(problem, [collector]) == [None]
    (rows,) = collector.layers().values()
    return rows


def noise(count=7, size=SIZE):
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_linear_filter_has_its_own_transfer_function():
    """Oracle: |H|² |X|² with numpy's transform of the kernel and of each image; full coherence."""
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False).double()
    x = noise()
    rows = passed(layer, x)
    kernel = np.zeros((SIZE, SIZE))
    for i in range(3):
        for j in range(3):
            kernel[(1 - i) % SIZE, (1 - j) % SIZE] = float(layer.weight.detach()[0, 0, i, j])
    H2 = np.abs(np.fft.fft2(kernel)) ** 2
    X2 = np.abs(np.fft.fft2(x[:, 0].numpy(), norm="ortho")) ** 2 / SIZE**2
    f = np.fft.fftfreq(SIZE)
    r = np.hypot(f[:, None], f[None])
    index = np.clip(np.ceil(r / RadialBins(BINS).step - 1e-9).astype(int) - 1, 0, BINS - 1)
    index[0, 0] = -1
    table = rows.rows()
    for b in range(BINS):
        chosen = index == b
        np.testing.assert_allclose(table["inputs"][:, b], X2[:, chosen].mean(1), rtol=1e-9)
        np.testing.assert_allclose(table["outputs"][:, b], (H2 * X2)[:, chosen].mean(1), rtol=1e-9)
    np.testing.assert_allclose(rows.coherent_share(RadialBins(BINS)), 1.0, rtol=1e-9)


def test_a_stride_folds_what_its_output_cannot_hold():
    """Oracle: an image of one mode above the output's Nyquist frequency: all of the output is folded."""
    y, x = torch.meshgrid(*[torch.arange(16.0, dtype=torch.float64)] * 2, indexing="ij")
    wave = torch.cos(2 * torch.pi * 6 * x / 16) + 0.0 * y
    images = wave.expand(3, 1, 16, 16).clone() * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    layer = nn.Conv2d(1, 1, 1, stride=2, bias=False)
    nn.init.ones_(layer.weight)
    rows = passed(layer, images).rows()
    np.testing.assert_allclose(rows["alias_energy"], rows["energy"], rtol=1e-9)
    assert (rows["energy"] > 0).all()


class Halving(nn.Module):
    """Every second row and column, by a class whose name says nothing."""

    def forward(self, x):
        return x[..., ::2, ::2]


class Every(nn.Module):
    """Every so many rows and columns."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return x[..., :: self.step, :: self.step]


@pytest.mark.parametrize(("size", "step"), [(8, 2), (12, 3), (10, 2)])
def test_of_white_noise_a_stride_folds_all_but_one_mode_of_its_square(size, step):
    """Oracle: of the step² modes that meet in each mode of the output one is its own: 1 − 1/step² is folded.

    One image for each pixel, lit alone, has exactly the second moments of white noise, so nothing is left to
    chance. At the output's Nyquist frequency, where it has one, a mode and its mirror image meet and neither
    is the output's own: with these modes counted as folded the share would depend on the size, 51/63 in place
    of 3/4 for 16 to 8 pixels, and be above 0 for a filter that lets through nothing above that frequency.
    """
    lit = torch.eye(size**2, dtype=torch.float64).view(-1, 1, size, size)
    rows = passed(Every(step), lit).rows()
    assert rows["alias_energy"].mean() / rows["energy"].mean() == pytest.approx(1 - 1 / step**2, rel=1e-9)


@pytest.mark.parametrize("size", [8, 10, 12, 14])
def test_what_passes_only_modes_of_the_output_folds_nothing(size):
    """Oracle: zero, also of a filter that keeps the mode at the Nyquist frequency; pixels lit alone."""
    lit = torch.eye(size**2, dtype=torch.float64).view(-1, 1, size, size)
    for nyquist in ("keep", "drop"):
        rows = passed(LowPass2d("flc", nyquist=nyquist), lit).rows()
        assert rows["alias_energy"].mean() <= 1e-12 * rows["energy"].mean()


def test_a_downsampling_is_known_by_what_it_does():
    """Oracle: torch's own layer that does the same; what holds one, or keeps the size, is none."""
    x = noise(size=16)
    for inner, name in ((Halving(), "0.1"), (nn.MaxPool2d(1, stride=2), "0.1")):
        stage = nn.Sequential(nn.Identity(), inner, nn.Sequential(nn.Sigmoid()))
        model = nn.Sequential(stage, nn.Flatten(), nn.Linear(64, 3)).double()
        problem = Problem(model, "cross_entropy", (x, torch.arange(7) % 3), batch_size=3)
        collector = TransferCollector(Selection(("*",), ("downsampling",)), BINS, None, 64)
        assert collect(problem, [collector]) == [None]
        found = collector.layers()
        assert list(found) == [name] and found[name].unit.kind == "downsampling"
        table = found[name].rows()
        if isinstance(inner, Halving):
            mine = table
    for key, value in table.items():  # a view is summed in another order
        np.testing.assert_allclose(mine[key], value, rtol=1e-12, atol=1e-20)


@pytest.mark.parametrize("size", [(8, 8), (7, 6)])
def test_low_passes_are_masks_of_numpys_transform(size):
    """Oracle: numpy's transform, masked and inverted."""
    maps = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fy, fx = (np.fft.fftfreq(n) for n in size)
    disc = np.hypot(fy[:, None], fx[None]) <= 0.25 + 1e-9
    box = (np.abs(fy)[:, None] < 0.25 - 1e-9) & (np.abs(fx)[None] < 0.125 - 1e-9)
    for found, mask in ((low_pass(maps, 0.25), disc), (low_pass_box(maps, (0.5, 0.25)), box)):
        expected = np.fft.ifft2(np.fft.fft2(maps.numpy()) * mask).real
        np.testing.assert_allclose(found, expected, atol=1e-12)


class PatchMerging(nn.Module):
    """Halves a grid of tokens: takes it with its size, as a popular library's Swin does."""

    def __init__(self, inplace=False):
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.inplace = inplace

    def forward(self, x, size, gain=None):
        h, w = size
        if self.inplace:
            x = x.relu_()
        x = x.unflatten(1, (h // 2, 2, w // 2, 2)).permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)
        x = self.linear(x)
        return x if gain is None else x * gain


class Merged(nn.Module):
    """One of these between a convolution and a head, called in one of several ways."""

    def __init__(self, how, inplace=False):
        super().__init__()
        self.conv, self.merge, self.head = (
            nn.Conv2d(1, 1, 3, padding=1),
            PatchMerging(inplace),
            nn.Linear(2, 3),
        )
        self.how = how

    def forward(self, x):
        tokens = self.conv(x).flatten(2).transpose(1, 2).contiguous()
        # one gain for each example: it has to be cut where the images are
        gain = 1.0 + torch.arange(len(x), dtype=x.dtype)[:, None, None]
        calls = {
            "positions": lambda: self.merge(tokens, x.shape[2:], gain),
            "keywords": lambda: self.merge(size=x.shape[2:], gain=gain, x=tokens),
            "without": lambda: self.merge(tokens, x.shape[2:]),
        }
        return self.head(calls[self.how]().mean(1))


def folded(model, x, *images):
    """Rows of the merging by collectors that look at so many images each."""
    problem = Problem(model, "cross_entropy", (x, torch.arange(len(x)) % 3), batch_size=3)
    collectors = [TransferCollector(Selection(("merge",)), BINS, None, 64, count) for count in images]
    assert collect(problem, collectors) == [None] * len(images)
    return [collector.layers()["merge"].rows() for collector in collectors]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("how", ["positions", "keywords", "without"])
@torch.no_grad()
def test_a_unit_of_several_inputs_is_called_as_the_model_called_it(how, inplace):
    """Oracle: the model run by hand on tokens whose high modes numpy takes out, image by image."""
    torch.manual_seed(0)
    model, x = Merged(how, inplace).double(), noise(7)
    (rows,) = folded(model, x, None)
    model.merge.inplace = False
    for number, value in enumerate(rows["alias_energy"]):
        image = x[number][None]
        maps = model.conv(image)[0, 0].numpy()
        modes = np.fft.fft2(maps)
        f = np.abs(np.fft.fftfreq(SIZE))
        modes[(f[:, None] >= 0.25 - 1e-9) | (f[None] >= 0.25 - 1e-9)] = 0
        smooth = torch.from_numpy(np.fft.ifft2(modes).real.reshape(1, -1, 1))
        tokens = torch.from_numpy(maps.reshape(1, -1, 1))
        if inplace:
            smooth, tokens = smooth.relu(), tokens.relu()
        gap = (model.merge(tokens, (SIZE, SIZE)) - model.merge(smooth, (SIZE, SIZE)))[0]
        if how != "without":
            gap = gap * (1.0 + number % 3)
        gap = gap.numpy().reshape(SIZE // 2, SIZE // 2, 2)
        power = np.abs(np.fft.fft2(gap, axes=(0, 1)) / (SIZE // 2) ** 2) ** 2
        keep = np.ones((SIZE // 2, SIZE // 2), bool)  # neither the mean nor the output's Nyquist modes
        keep[0, 0] = keep[SIZE // 4] = keep[:, SIZE // 4] = False
        np.testing.assert_allclose(value, power.mean(2)[keep].mean(), rtol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("inplace", [False, True])
def test_what_a_unit_wrote_over_is_not_made_up(inplace):
    """Oracle: who looks at all images.

    Of fewer, the tokens of the others are gone where they were written over: nothing is said of folding
    rather than something wrong.
    """
    model = Merged("positions", inplace).double()
    some, every = folded(model, noise(9), 2, None)
    assert "alias_energy" in every
    assert ("alias_energy" in some) != inplace
    if not inplace:
        gaps = np.abs(some["alias_energy"][:, None] - every["alias_energy"]).min(1)
        assert (gaps <= 1e-12 * every["alias_energy"].max()).all()

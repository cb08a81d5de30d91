"""Noise by frequency against numpy's transform and closed forms; changed batches against plain torch."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, generator, images, snapshot, uneven
from torch import nn

from landscape import Problem
from landscape.core.behaviour.calibration import Predictions
from landscape.core.behaviour.corruptions import corrupt
from landscape.core.behaviour.perturbations import (
    PixelScale,
    band_mask,
    band_noise,
    basis_noise,
    changed_batches,
    measure_changed,
    paired,
    paired_answers,
    symmetric_modes,
)


def radius(height, width):
    """Radial frequency of the full transform in π rad/pixel, by NumPy."""
    return 2 * np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij"))


@pytest.mark.parametrize("size", [(16, 16), (15, 15), (12, 20)])
def test_band_noise_lives_in_its_band(size):
    """Oracle: NumPy's full transform of the same draw, cut to the ring."""
    mask, count = band_mask(*size, 0.5 * np.pi, 0.05 * np.pi)
    made = band_noise((3, 2, *size), mask, np.random.default_rng(7), 0.3).numpy()
    delta = 0.3 * np.random.default_rng(7).standard_normal((3, 2, *size))
    inside = np.abs(radius(*size) - 0.5) <= 0.05 + 1e-9
    oracle = np.fft.ifft2(inside * np.fft.fft2(delta))
    np.testing.assert_allclose(made, oracle.real, atol=1e-14)
    assert np.abs(oracle.imag).max() < 1e-14
    assert count == inside.sum() > 0


def test_bands_add_up_to_the_noise_without_its_mean():
    """Oracle: rings that tile the plane add up to δ less its mean (Parseval's partition)."""
    edges = np.linspace(0, np.sqrt(2) * np.pi + 0.01, 8)
    total = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    modes = 0
    for low, high in pairwise(edges):
        mask, count = band_mask(9, 9, (low + high) / 2, (high - low) / 2)
        total += band_noise((1, 1, 9, 9), mask, np.random.default_rng(0), 1.0)
        modes += count
    delta = np.random.default_rng(0).standard_normal((1, 1, 9, 9))
    np.testing.assert_allclose(total.numpy(), delta - delta.mean(), atol=1e-13)
    assert modes == 80


def test_noise_energy():
    """Oracle: the expected rms is σ √(modes/HW); scaled noise has its rms exactly, in every image."""
    mask, count = band_mask(16, 16, 0.7 * np.pi, 0.05 * np.pi)
    free = band_noise((200, 1, 16, 16), mask, np.random.default_rng(0), 0.2)
    assert float(free.square().mean().sqrt()) == pytest.approx(0.2 * (count / 256) ** 0.5, rel=0.03)
    scaled = band_noise((5, 3, 16, 16), mask, np.random.default_rng(0), 1.0, rms=0.2)
    np.testing.assert_allclose(scaled.square().mean((1, 2, 3)).sqrt(), 0.2, rtol=1e-12)
    empty, none = band_mask(4, 4, 0.01, 0.001)
    assert none == 0
    assert not band_noise((2, 1, 4, 4), empty, np.random.default_rng(0), 1.0, rms=0.2).any()


def test_basis_noise_is_one_mode():
    """Oracle: NumPy's transform has energy at (k_y, k_x) and at its opposite alone; rms as asked."""
    made = basis_noise((4, 2, 12, 10), (3, -2), np.random.default_rng(0), 0.125).numpy()
    spectrum = np.abs(np.fft.fft2(made))
    spectrum[..., [3, -3], [-2, 2]] = 0.0
    assert spectrum.max() < 1e-12
    np.testing.assert_allclose(np.sqrt((made**2).mean((2, 3))), 0.125)
    signs = np.sign(made[:, :, 0, 0])
    assert set(signs.ravel()) == {-1.0, 1.0}
    constant = basis_noise((1, 1, 6, 6), (0, 0), np.random.default_rng(0), 0.5).numpy()
    np.testing.assert_allclose(np.abs(constant), 0.5)


def test_modes_are_symmetric_and_below_nyquist():
    np.testing.assert_array_equal(symmetric_modes(28, 7), [-13, -9, -4, 0, 4, 9, 13])
    np.testing.assert_array_equal(symmetric_modes(8, 99), [-3, -2, -1, 0, 1, 2, 3])
    np.testing.assert_array_equal(symmetric_modes(2, 7), [0])


def test_measure_on_changed_batches_is_plain_torch():
    """Oracle: the caller's model in plain torch on inputs changed by hand; the problem stays as it is."""
    model, (x, y) = CASES["conv_batchnorm"].model(), images()
    problem = Problem(model, "cross_entropy", uneven((x, y), [9, 4]))
    before = snapshot(problem.module)
    scale = PixelScale.of(problem, (0.5,), (0.25,))
    measure = measure_changed(problem, scale, lambda pixels, start: pixels.flip(3) + 0.1)
    oracle = F.cross_entropy(model.eval()(x.flip(3) + 0.4), y, reduction="none").detach()
    torch.testing.assert_close(measure.losses, oracle)
    assert measure.data_loss == pytest.approx(float(oracle.mean()))
    assert snapshot(problem.module) == before
    starts = []
    for _ in changed_batches(problem, scale, lambda pixels, start: starts.append(start) or pixels):
        pass
    assert starts == [0, 9]


def test_mapping_inputs_are_changed_in_place_of_the_image():
    """Oracle: a model that adds up its image sees the change; other entries of the mapping do not."""

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, pixel_values, weight):
            return self.gain * weight * pixel_values.sum((1, 2, 3))

    data = {"pixel_values": torch.ones(3, 1, 2, 2), "weight": torch.arange(3.0), "labels": torch.zeros(3)}
    problem = Problem(Sum(), lambda output, _: output, data)
    measure = measure_changed(problem, PixelScale((0.0,), (1.0,)), lambda pixels, _: pixels + 1.0)
    torch.testing.assert_close(measure.losses, torch.arange(3.0).double() * 8)


def test_paired_error():
    """Oracle: NumPy on the differences; draws are averaged by example first."""
    clean, one, two = (torch.randn(20, generator=generator(i), dtype=torch.float64) for i in range(3))
    mean, se, change, change_se = paired(clean, [one, two])
    both = (one + two).numpy() / 2
    assert mean == pytest.approx(both.mean())
    assert se == pytest.approx(both.std(ddof=1) / 20**0.5)
    assert change == pytest.approx((both - clean.numpy()).mean())
    assert change_se == pytest.approx((both - clean.numpy()).std(ddof=1) / 20**0.5)
    assert np.isnan(paired(None, [None])).all()


# The analysis


@pytest.mark.parametrize("kind", ["rotation", "translation", "roll"])
def test_labels_of_pixels_move_with_the_pixels(kind):
    """Oracle: images whose pixels are their own labels: after the move they still are, but at edges."""
    y = torch.zeros(6, 16, 16, dtype=torch.long)
    y[:, 4:11, 3:9], y[3:, 6:8, 6:12] = 2, 1
    y[:, :2, :3] = 255
    levels = torch.tensor([0.0, 0.5, 1.0])
    x = torch.where(y == 255, 0.0, levels[y.clamp(max=2)])[:, None]
    problem = Problem(nn.Conv2d(1, 3, 1), nn.CrossEntropyLoss(ignore_index=255), (x, y), batch_size=4)
    scale = PixelScale((0.0,), (1.0,))
    changes = corrupt(kind, 3), corrupt(kind, 3)
    start = 0
    for batch in changed_batches(problem, scale, *changes):
        images, labels = batch.inputs[:, 0], batch.target
        assert labels.dtype == torch.long
        assert set(labels.unique().tolist()) <= {0, 1, 2, 255}
        known = labels != 255
        nearest = (images[..., None] - levels).abs().argmin(-1)
        # a pixel half way between 0 and 1 looks like 1/2, so edges are left out
        sharp = known & ((images - levels[nearest]).abs() < 1e-6)
        assert sharp.float().mean() > 0.5
        inner = sharp & ~_edges(labels)
        assert (nearest[inner] == labels[inner]).all()
        assert not torch.equal(labels, y[start : start + len(labels)])
        start += len(labels)
    (unmoved, *_) = changed_batches(problem, scale, lambda pixels, first: pixels)
    assert torch.equal(unmoved.target, y[:4])


def _edges(labels):
    """Where a label differs from that of a neighbour."""
    found = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (1, 2):
        for step in (1, -1):
            found |= labels != labels.roll(step, axis)
    return found


def test_answers_that_differ_are_compared_by_example():
    """Oracle: the error of paired examples, with one answer each; the spread of the change of two ratios."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 3))
    clean = Predictions.of_logits(z, rng.integers(0, 3, 40))
    made = clean.with_logits(z + rng.normal(size=z.shape))
    plain = paired(torch.from_numpy(clean.nll), [torch.from_numpy(made.nll)])
    assert paired_answers(clean, clean.nll, made, made.nll) == plain
    own = np.arange(40)
    several = (replace(part, examples=own) for part in (clean, made))
    first, second = several
    assert paired_answers(first, clean.nll, second, made.nll) == pytest.approx(plain, rel=1e-12)
    fewer = replace(made, log_p=made.log_p[5:], labels=made.labels[5:], examples=own[:35], numbers=own[5:])
    mean, error, change, change_error = paired_answers(first, clean.nll, fewer, fewer.nll)
    assert change == pytest.approx(fewer.nll.mean() - clean.nll.mean())
    assert mean == pytest.approx(fewer.nll.mean())
    influence = -(clean.nll - clean.nll.mean()) / 40
    influence[5:] += (fewer.nll - mean) / 35
    assert change_error == pytest.approx(np.sqrt(40 / 39 * (influence**2).sum()), rel=1e-12)
    assert error == pytest.approx(fewer.nll.std(ddof=1) / np.sqrt(35), rel=1e-12)

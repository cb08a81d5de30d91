"""``attention_response`` against closed forms: circulant, uniform, identity and permuting attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator
from torch import nn

import landscape
from landscape import Problem
from landscape.core.features.attention import Grid, head_rows
from landscape.core.features.fourier import RadialBins
from landscape.errors import InputError
from landscape.reference.models import resnet, vit

SIDE = 6
N = SIDE * SIDE
BINS = RadialBins(14)


def rows(A, prefix=0, worst=9):
    A = torch.as_tensor(np.asarray(A), dtype=torch.float64)
    found = head_rows(A[None, None], Grid(SIDE, SIDE, prefix), BINS, worst)
    return {k: v[0, 0].numpy() for k, v in found.items()}


def circulant(kernel):
    """The matrix of a circular filter on the grid, from offsets to weights."""
    A = np.zeros((N, N))
    for y in range(SIDE):
        for x in range(SIDE):
            for (dy, dx), weight in kernel.items():
                A[y * SIDE + x, (y + dy) % SIDE * SIDE + (x + dx) % SIDE] += weight
    return A


def in_bins(values):
    """Mean over the full grid of modes in each bin, in NumPy."""
    f = np.fft.fftfreq(SIDE)
    index = np.ceil(np.hypot(f[:, None], f[None]) / BINS.step - 1e-9).astype(int) - 1
    index[0, 0] = -1
    with np.errstate(invalid="ignore"):
        return np.array([values[index == i].sum() / (index == i).sum() for i in range(BINS.number)])


SMOOTH = {
    (dy, dx): wy * wx / 16 for dy, wy in ((-1, 1), (0, 2), (1, 1)) for dx, wx in ((-1, 1), (0, 2), (1, 1))
}


def test_circulant_attention_has_its_response_and_no_leakage():
    """Oracle: cos⁴(ω/2) per axis in power; σ_max(HAH) is the largest non-constant response."""
    found = rows(circulant(SMOOTH))
    w = 2 * np.pi * np.fft.fftfreq(SIDE)
    response = np.cos(w[:, None] / 2) ** 2 * np.cos(w[None] / 2) ** 2
    np.testing.assert_allclose(found["gain2"], in_bins(response**2), atol=1e-14)
    np.testing.assert_allclose(found["kept2"], found["gain2"], atol=1e-14)
    assert found["leakage"] == pytest.approx(0.0, abs=1e-12)
    assert found["mean_gain"] == pytest.approx(1.0)
    assert found["worst"] == pytest.approx(np.cos(np.pi / SIDE) ** 2, rel=1e-12)
    assert found["high_low"] < 0
    weights = np.array(list(SMOOTH.values()))
    assert found["entropy"] == pytest.approx(-(weights * np.log(weights)).sum())


def test_uniform_attention_keeps_the_constant_mode_only():
    """Oracle: J/n: gain 0 but for the mean, entropy ln n, mean distance over all pairs."""
    found = rows(np.full((N, N), 1 / N))
    np.testing.assert_allclose(found["gain2"][np.isfinite(found["gain2"])], 0.0, atol=1e-25)
    assert found["mean_gain"] == pytest.approx(1.0)
    assert found["worst"] == pytest.approx(0.0, abs=1e-14)
    assert found["entropy"] == pytest.approx(np.log(N))
    places = np.stack(np.divmod(np.arange(N), SIDE), 1)
    expected = np.linalg.norm(places[:, None] - places[None], axis=-1).mean()
    assert found["distance"] == pytest.approx(expected)


def test_identity_and_shifts_have_gain_one():
    """Oracle: unitary matrices; a shift is circulant; entropy and distance by hand."""
    for A, distance in ((np.eye(N), 0.0), (circulant({(0, 1): 1.0}), (SIDE - 1 + (SIDE - 1)) / SIDE)):
        found = rows(A)
        known = np.isfinite(found["gain2"])
        np.testing.assert_allclose(found["gain2"][known], 1.0, rtol=1e-12)
        np.testing.assert_allclose(found["kept2"][known], 1.0, rtol=1e-12)
        assert found["worst"] == pytest.approx(1.0)
        assert found["entropy"] == 0.0
        assert found["distance"] == pytest.approx(distance, abs=1e-12)
        assert found["high_low"] == pytest.approx(0.0, abs=1e-12)


def test_a_permutation_keeps_the_gain_and_leaks():
    """Oracle: unitary, so gain 1; a random one keeps about 1/n of each mode in place."""
    found = rows(np.eye(N)[np.random.default_rng(0).permutation(N)])
    np.testing.assert_allclose(found["gain2"][np.isfinite(found["gain2"])], 1.0, rtol=1e-12)
    assert found["leakage"] == pytest.approx(1.0, abs=0.1)


def test_random_attention_is_the_literal_formula():
    """Oracle: M = F A Fᴴ with a written-out Fourier matrix; σ_max(HAH) by NumPy's singular values."""
    A = torch.randn(N, N, generator=generator(0), dtype=torch.float64).softmax(-1).numpy()
    found = rows(A)
    f = np.fft.fft(np.eye(SIDE)) / np.sqrt(SIDE)
    F = np.kron(f, f)
    M = F @ A @ F.conj().T
    gain2 = (np.abs(M) ** 2).sum(0)
    np.testing.assert_allclose(found["gain2"], in_bins(gain2.reshape(SIDE, SIDE)), rtol=1e-10)
    np.testing.assert_allclose(
        found["kept2"], in_bins((np.abs(np.diag(M)) ** 2).reshape(SIDE, SIDE)), rtol=1e-10
    )
    assert found["leakage"] == pytest.approx(1 - (np.abs(np.diag(M)) ** 2)[1:].sum() / gain2[1:].sum())
    H = np.eye(N) - 1 / N
    assert found["worst"] == pytest.approx(np.linalg.svd(H @ A @ H)[1][0])
    assert found["mean_gain"] == pytest.approx(np.sqrt(gain2[0]))


def test_prefix_tokens_are_set_apart():
    """Oracle: half of every patch's attention on a class token halves the gains."""
    A = np.zeros((N + 1, N + 1))
    A[0, 0] = 1.0
    A[1:, 0] = 0.5
    A[1:, 1:] = 0.5 * np.eye(N)
    found = rows(A, prefix=1)
    assert found["prefix_share"] == pytest.approx(0.5)
    np.testing.assert_allclose(found["gain2"][np.isfinite(found["gain2"])], 0.25, rtol=1e-12)
    assert found["entropy"] == pytest.approx(np.log(2))
    assert found["distance"] == 0.0


def vit_problem(batch_size=256, n=7, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = vit(depth=2, image=16, classes=3, **options).double()
    x = torch.randn(n, 1, 16, 16, generator=generator(1), dtype=torch.float64)
    return Problem(model, "cross_entropy", (x, torch.arange(n) % 3), batch_size=batch_size)


def test_a_model_is_measured_head_by_head():
    """Oracle: its softmax weights by hand, put through the function tested above; means over images."""
    problem = vit_problem()
    ds = landscape.attention_response(problem)
    assert list(ds["layer"].values) == ["blocks.0.attn", "blocks.1.attn"]
    assert ds.sizes["head"] == 4
    assert ds["height"].values.tolist() == ds["width"].values.tolist() == [4, 4]
    assert ds["prefix_tokens"].values.tolist() == [1, 1]
    model, x = problem.module, problem.batches[0].inputs
    with torch.no_grad():
        tokens = model.patch_embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([model.cls_token.expand(len(x), -1, -1), tokens], 1) + model.pos_embed
        attn = model.blocks[0].attn
        q, k, _ = attn.qkv(model.blocks[0].norm1(tokens)).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        A = (q @ k.transpose(-2, -1) / 12**0.5).softmax(-1)
    expected = head_rows(A, Grid(4, 4, 1), BINS, 7)
    np.testing.assert_allclose(ds["gain"][0], expected["gain2"].mean(0).sqrt(), rtol=1e-9)
    for name, key in (("leakage", "leakage"), ("worst_gain", "worst"), ("entropy", "entropy")):
        np.testing.assert_allclose(ds[name][0], expected[key].mean(0), rtol=1e-9, err_msg=name)
        se = expected[key].std(0) / 7**0.5
        np.testing.assert_allclose(ds[f"{name}_se"][0], se, rtol=1e-6, err_msg=name)


def test_batches_do_not_matter():
    """Oracle: all data at once; the worst gain is that of the first images in both."""
    whole, parts = (landscape.attention_response(vit_problem(b), worst_images=4) for b in (7, 3))
    for name in ("gain", "gain_se", "leakage", "worst_gain", "entropy", "distance", "gain_high_low"):
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-8, err_msg=name)


class Windowed(nn.Module):
    """Attention in shifted windows of 4 × 4 on a grid (B, H, W, C), written with torch's own functions."""

    def __init__(self, shift):
        super().__init__()
        self.shift = shift
        self.embed = nn.Conv2d(1, 4, 1)
        self.attn = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def windows(self, x):
        x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = x.unflatten(2, (-1, 4)).unflatten(1, (-1, 4)).transpose(2, 3)
        return x.reshape(-1, 16, x.shape[-1])

    def forward(self, x):
        tokens = self.windows(self.embed(x).permute(0, 2, 3, 1))
        out = self.attn(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(out.reshape(len(x), -1, 4).mean(1))


@pytest.mark.parametrize("shift", [0, 2])
def test_windows_are_put_back_to_the_whole_grid(shift):
    """Oracle: the dense matrix of the whole grid by hand; the literal M = F A Fᴴ and NumPy's singular values.

    Where each token lies is read off token numbers sent through the same windows.
    """
    height, width, n = 8, 12, 96
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Windowed(shift).double()
        model.attn.in_proj_weight.data *= 4.0
    x = torch.randn(3, 1, height, width, generator=generator(1), dtype=torch.float64)
    ds = landscape.attention_response(Problem(model, "cross_entropy", (x, torch.arange(3))))
    assert [int(ds[k][0]) for k in ("height", "width", "windows")] == [height, width, 6]
    places = model.windows(torch.arange(n).reshape(1, height, width, 1)).squeeze(-1).numpy()
    with torch.no_grad():
        tokens = model.windows(model.embed(x).permute(0, 2, 3, 1))
        parts = model.attn(tokens, tokens, tokens, average_attn_weights=False)[1].numpy()
    A = np.zeros((3, 2, n, n))
    for row, part in enumerate(parts):
        image, window = divmod(row, 6)
        A[image][:, places[window][:, None], places[window]] = part
    F = np.kron(np.fft.fft(np.eye(height)), np.fft.fft(np.eye(width))) / np.sqrt(n)
    M = F @ A @ F.conj().T
    gain2, kept2 = (np.abs(M) ** 2).sum(-2), np.abs(np.diagonal(M, axis1=-2, axis2=-1)) ** 2
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]).ravel()
    index = np.ceil(f / BINS.step - 1e-9).astype(int) - 1
    for b in set(index) - {-1}:
        chosen = gain2[..., index == b].mean((0, -1))
        np.testing.assert_allclose(ds["gain"].values[0, :, b], chosen**0.5, rtol=1e-9)
        chosen = kept2[..., index == b].mean((0, -1))
        np.testing.assert_allclose(ds["invariant_gain"].values[0, :, b], chosen**0.5, rtol=1e-9)
    leakage = 1 - kept2[..., 1:].sum(-1) / gain2[..., 1:].sum(-1)
    np.testing.assert_allclose(ds["leakage"][0], leakage.mean(0), rtol=1e-9)
    np.testing.assert_allclose(ds["mean_gain"][0], np.sqrt(gain2[..., 0]).mean(0), rtol=1e-9)
    H = np.eye(n) - 1 / n
    worst = np.linalg.norm(H @ A @ H, ord=2, axis=(-2, -1)).mean(0)
    np.testing.assert_allclose(ds["worst_gain"][0], worst, rtol=1e-8)


def test_one_window_by_windows_is_the_whole():
    """Oracle: the transform of the whole grid; the quadratic forms of windows take another way."""
    A = torch.randn(2, 3, 12, 12, generator=generator(0), dtype=torch.float64).softmax(-1)
    whole, window = (head_rows(A, Grid(3, 4, 0, part), BINS, 2) for part in (None, (3, 4)))
    for key in whole:
        np.testing.assert_allclose(window[key], whole[key], rtol=1e-9, atol=1e-12, err_msg=key)


def test_a_grid_that_is_not_square_is_that_of_the_patches():
    """Oracle: 3 × 5 patches and a class token; entropy by hand from the weights."""
    model = vit(depth=1, image=16, patch=4, classes=3).double()
    model.pos_embed = nn.Parameter(torch.zeros(1, 16, 48, dtype=torch.float64))
    x = torch.randn(2, 1, 12, 20, generator=generator(1), dtype=torch.float64)
    ds = landscape.attention_response(Problem(model, "cross_entropy", (x, torch.arange(2))))
    assert [int(ds[k][0]) for k in ("height", "width", "prefix_tokens")] == [3, 5, 1]


def test_torchvision_swin_is_seen_on_its_whole_grid():
    """Oracle: its stages have 56, 28, 14 and 7 patches a side, in windows of 7 × 7.

    Its worst gain is at least 1, since patterns constant on each window pass.
    """
    models = pytest.importorskip("torchvision.models")
    model = models.swin_t()
    x = torch.randn(1, 3, 224, 224, generator=generator(1))
    ds = landscape.attention_response(
        Problem(model, "cross_entropy", (x, torch.zeros(1, dtype=torch.long))), worst_images=1
    )
    assert ds["height"].values.tolist() == [56, 56, 28, 28, *[14] * 6, 7, 7]
    assert ds["windows"].values.tolist() == [64, 64, 16, 16, *[4] * 6, 1, 1]
    many = ds["worst_gain"].values[ds["windows"].values > 1]
    assert (many[np.isfinite(many)] > 1 - 1e-6).all()


def test_models_without_patches_are_refused():
    """Oracle: the sentence; a convolutional network, and rows that are no square grid."""
    x, y = torch.randn(3, 1, 16, 16), torch.arange(3)
    for problem in (Problem(resnet(), "cross_entropy", (x, y)), CASES["mlp"].problem()):
        with pytest.raises(InputError, match=r"no self-attention over a grid .* vision transformer"):
            landscape.attention_response(problem)

"""``attention_response`` against closed forms: circulant, uniform, identity and permuting attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator
from torch import nn

import landscape
from landscape import Problem
from landscape.core.frequency import RadialBins
from landscape.core.heads import head_rows
from landscape.errors import InputError
from landscape.reference.models import resnet, vit

SIDE = 6
N = SIDE * SIDE
BINS = RadialBins(14)


def rows(A, prefix=0, worst=9):
    A = torch.as_tensor(np.asarray(A), dtype=torch.float64)
    return {k: v[0, 0].numpy() for k, v in head_rows(A[None, None], SIDE, prefix, BINS, worst).items()}


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
    assert ds["side"].values.tolist() == [4, 4]
    assert ds["prefix_tokens"].values.tolist() == [1, 1]
    model, x = problem.module, problem.batches[0].inputs
    with torch.no_grad():
        tokens = model.patch_embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([model.cls_token.expand(len(x), -1, -1), tokens], 1) + model.pos_embed
        attn = model.blocks[0].attn
        q, k, _ = attn.qkv(model.blocks[0].norm1(tokens)).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        A = (q @ k.transpose(-2, -1) / 12**0.5).softmax(-1)
    expected = head_rows(A, 4, 1, BINS, 7)
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


def test_windows_are_averaged_within_an_image():
    """Oracle: the same images cut into windows by hand and attended to one by one."""

    class Windowed(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.MultiheadAttention(4, 2, batch_first=True)
            self.embed = nn.Linear(1, 4)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            windows = x.unfold(2, 4, 4).unfold(3, 4, 4).reshape(-1, 16, 1)
            tokens = self.embed(windows)
            out = self.attn(tokens, tokens, tokens, need_weights=False)[0]
            return self.head(out.reshape(len(x), -1, 4).mean(1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Windowed().double()
    x = torch.randn(6, 1, 8, 8, generator=generator(1), dtype=torch.float64)
    pieces = x.unfold(2, 4, 4).unfold(3, 4, 4).reshape(-1, 1, 4, 4)
    whole = landscape.attention_response(Problem(model, "cross_entropy", (x, torch.arange(6) % 3)))
    each = landscape.attention_response(Problem(model, "cross_entropy", (pieces, torch.arange(24) % 3)))
    assert whole["windows"].values.tolist() == [4]
    np.testing.assert_allclose(whole["gain"], each["gain"], rtol=1e-9)
    assert not np.allclose(whole["entropy_se"], each["entropy_se"])


def test_models_without_patches_are_refused():
    """Oracle: the sentence; a convolutional network, and rows that are no square grid."""
    x, y = torch.randn(3, 1, 16, 16), torch.arange(3)
    for problem in (Problem(resnet(), "cross_entropy", (x, y)), CASES["mlp"].problem()):
        with pytest.raises(InputError, match=r"no self-attention over a square grid .* vision transformer"):
            landscape.attention_response(problem)

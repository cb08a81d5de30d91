"""HSIC and CKA against closed forms, the three-term formula and invariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator, images, sentences, uneven, vectors
from torch import nn

import landscape
from landscape import Problem
from landscape.core.layout import Layouts
from landscape.core.similarity import (
    JACKKNIFE_BLOCKS,
    Kernel,
    Policy,
    center,
    choose_layers,
    feature_cka,
    gram,
    jackknife,
    normalized,
    plan_batches,
    u_center,
    zoo_grams,
    zoo_hsic,
)
from landscape.errors import InputError


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=generator(seed), dtype=dtype)


def related(n=40, p=6, q=9):
    """Two sets of features that share a part."""
    x = noise(n, p)
    return x, x @ noise(p, q, seed=1) + 0.7 * noise(n, q, seed=2)


def three_terms(K, L):
    """HSIC₁ as Song et al. (2012), equation 5, write it, in NumPy."""
    K, L = K.copy(), L.copy()
    np.fill_diagonal(K, 0.0)
    np.fill_diagonal(L, 0.0)
    n = len(K)
    one = np.ones(n)
    value = np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return (value - 2.0 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3))


# Single batch


def test_u_centred_product_is_the_three_term_formula():
    """Oracle: the formula with three terms, in NumPy, on raw uncentred Gram matrices."""
    x, y = related()
    K, L = ((f @ f.T).numpy() for f in (x + 3.0, y - 2.0))
    inner = (u_center(gram(x)) * u_center(gram(y))).sum() / (40 * 37)
    assert float(inner) == pytest.approx(three_terms(K, L), rel=1e-10)


def test_u_centred_rows_sum_to_zero():
    K = u_center(gram(noise(17, 5)))
    assert K.sum(0).abs().max() < 1e-12
    assert not K.diagonal().any()


def test_sample_space_is_feature_space():
    """Oracle: ‖YᵀX‖²/(‖XᵀX‖ ‖YᵀY‖) of centred features (Kornblith et al. 2019): no Gram matrix."""
    x, y = (f - f.mean(0) for f in related())
    oracle = float((y.T @ x).square().sum() / ((x.T @ x).norm() * (y.T @ y).norm()))
    assert feature_cka(x, y, estimator="biased") == pytest.approx(oracle, rel=1e-12)


@pytest.mark.parametrize("estimator", ["unbiased", "biased"])
@pytest.mark.parametrize("kernel", [Kernel(), Kernel("rbf", 0.7)])
def test_invariances(estimator, kernel):
    """Oracle: rotation, permutation and offset leave distances as they are, scale leaves their ratios."""
    x, y = related()
    options = {"estimator": estimator, "kernel": kernel}
    rotation = torch.linalg.qr(noise(6, 6, seed=5)).Q
    plain = feature_cka(x, y, **options)
    for other in (x @ rotation, 37.0 * x, x + 1e3, x[:, torch.randperm(6, generator=generator(1))]):
        assert feature_cka(other, y, **options) == pytest.approx(plain, rel=1e-8)
    assert 0.1 < plain < 0.99


@pytest.mark.parametrize(("offset", "tolerance"), [(10.0, 1e-5), (1e3, 1e-4)])
def test_a_mean_far_above_the_spread_costs_nothing_in_single_precision(offset, tolerance):
    """Oracle: CKA with a copy that is rotated (so no bits agree) is 1."""
    x = noise(64, 32, dtype=torch.float32)
    rotated = x @ torch.linalg.qr(noise(32, 32, seed=4, dtype=torch.float32)).Q
    assert feature_cka(x + offset, rotated + offset) == pytest.approx(1.0, abs=tolerance)
    assert feature_cka(x + offset, x + offset) == pytest.approx(1.0, abs=1e-12)


def test_independent_features():
    """Oracle: for Gaussian features of p dimensions each, E[CKA] is 0 unbiased and about p/(n−1+p) biased."""
    n, p, draws = 24, 40, 150
    unbiased, biased = [], []
    for draw in range(draws):
        x, y = noise(n, p, seed=2 * draw), noise(n, p, seed=2 * draw + 1)
        unbiased.append(feature_cka(x, y))
        biased.append(feature_cka(x, y, estimator="biased"))
    se = np.std(unbiased, ddof=1) / draws**0.5
    assert abs(np.mean(unbiased)) < 4 * se
    assert min(unbiased) < 0.0  # not clamped
    assert np.mean(biased) == pytest.approx(p / (n - 1 + p), abs=0.02)


def test_rbf_tends_to_linear():
    """Oracle: expanded to first order in 1/σ², the RBF kernel is −‖x − y‖²/2σ², centred the linear one."""
    x, y = related()
    linear = feature_cka(x, y)
    errors = [abs(feature_cka(x, y, kernel=Kernel("rbf", s)) - linear) for s in (1.0, 10.0, 1e3)]
    assert errors[0] > 1e-3
    assert errors[1] < 0.05 * errors[0]
    assert errors[2] < 1e-6


def test_biased_centring_is_hkh():
    K = gram(noise(9, 4)) + 2.0
    H = torch.eye(9, dtype=torch.float64) - 1.0 / 9
    torch.testing.assert_close(center(K), H @ K @ H)


def test_not_a_number_where_nothing_varies():
    ratio = normalized(np.array([[0.0, 0.0], [0.0, 2.0]]))
    assert np.isnan(ratio[0]).all()
    assert ratio[1, 1] == pytest.approx(1.0, abs=1e-15)


def test_jackknife_is_that_of_the_textbook():
    """Oracle: the delete-one formula written out with NumPy for one pair."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(7, 2, 30))
    blocks = factors @ factors.transpose(0, 2, 1)
    value, se = jackknife(blocks)
    left = []
    for i in range(7):
        (a, c), (_, b) = np.delete(blocks, i, 0).sum(0)
        left.append(c / np.sqrt(a * b))
    assert se[0, 1] == pytest.approx(np.sqrt(6 / 7 * ((left - np.mean(left)) ** 2).sum()))
    assert se[0, 0] == pytest.approx(0.0, abs=1e-12)
    total = blocks.sum(0)
    assert value[0, 1] == pytest.approx(total[0, 1] / np.sqrt(total[0, 0] * total[1, 1]))
    assert np.isnan(jackknife(blocks[:1])[1]).all()


def test_jackknife_error_is_the_spread_over_data():
    """Oracle: the standard deviation of CKA over fresh draws of the data."""
    values, errors = [], []
    for draw in range(60):
        x = noise(160, 5, seed=draw)
        y = x @ noise(5, 5, seed=1000) + 2.0 * noise(160, 5, seed=5000 + draw)
        rows = [
            torch.stack([u_center(gram(f)).reshape(-1) for f in part])
            for part in zip(x.split(16), y.split(16), strict=True)
        ]
        value, se = jackknife(np.array([(v @ v.T).numpy() for v in rows]))
        values.append(value[0, 1])
        errors.append(se[0, 1])
    assert np.mean(errors) == pytest.approx(np.std(values, ddof=1), rel=0.35)


# Policies


def test_token_and_spatial_policies():
    """Oracle: the same slices and means taken by hand."""
    tokens, maps = noise(3, 17, 5), noise(3, 4, 6, 6)
    layouts = Layouts()
    assert torch.equal(Policy("cls").rows(tokens, layouts), tokens[:, 0])
    torch.testing.assert_close(Policy("patch_mean").rows(tokens, layouts), tokens[:, 1:].mean(1))
    assert Policy().rows(tokens, layouts).shape == (3, 85)
    torch.testing.assert_close(Policy(spatial="pooled").rows(maps, layouts), maps.mean((2, 3)))
    assert Policy().rows(maps, layouts).shape == (3, 144)
    assert Policy().rows(maps.half(), layouts).dtype == torch.float32


# The streaming pass


def test_batch_sums_are_those_of_the_three_term_formula():
    """Oracle: features taken by hand from the caller's model, the NumPy formula, summed over the batches."""
    model = CASES["mlp"].model().eval()
    x, _ = vectors(50)
    problem = Problem(model, "cross_entropy", vectors(50), batch_size=7)
    sums = zoo_hsic({"a": problem}, batch_size=20, seed=3)
    assert sums.units == [("a", "0"), ("a", "1"), ("a", "2")]
    assert sums.batches == 3
    total = np.zeros((3, 3))
    with torch.no_grad():
        for index in plan_batches(50, 20, 3):
            h = model[0](x[index])
            grams = [(f @ f.T).numpy() for f in (h, h.tanh(), model(x[index]))]
            total += [[three_terms(K, L) for L in grams] for K in grams]
    np.testing.assert_allclose(sums.blocks.sum(0)[:3, :3], total, rtol=1e-9)
    np.testing.assert_allclose(sums.blocks.sum(0)[3, :3], total[2], rtol=1e-9)  # the model's output


def test_batch_size_does_not_bias():
    """Oracle: one batch of all examples; the sums over small batches agree within four standard errors."""
    problem = Problem(CASES["mlp"].model(), "cross_entropy", vectors(600))
    whole, _ = jackknife(zoo_hsic({"a": problem}, batch_size=600).blocks)
    parts, se = jackknife(zoo_hsic({"a": problem}, batch_size=12).blocks)
    assert abs(parts - whole)[0, 2] < 4 * se[0, 2]
    assert se[0, 2] < 0.1


def test_in_place_relu_does_not_rewrite_its_input():
    """Oracle: the same weights with a ReLU that is not in place."""
    results = []
    for inplace in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=inplace), nn.Linear(8, 3)).double()
        results.append(zoo_hsic({"a": Problem(model, "cross_entropy", vectors(20))}))
    assert results[0].units == results[1].units
    np.testing.assert_array_equal(results[0].blocks, results[1].blocks)
    assert normalized(results[0].blocks.sum(0))[0, 1] < 0.999


@pytest.mark.parametrize("case", ["mlp", "conv_batchnorm", "attention", "multihead", "transformer_dict"])
def test_every_kind_of_output(case):
    """2-D, 3-D and 4-D outputs, dict inputs: every layer is 1 with itself, and within what a ratio can be."""
    sums = zoo_hsic({"a": CASES[case].problem()}, batch_size=8, estimator="biased")
    value = normalized(sums.blocks.sum(0))
    np.testing.assert_allclose(np.diagonal(value), 1.0, atol=1e-12)
    assert len(sums.units) > 1
    assert (value > -1e-12).all()
    assert (value < 1 + 1e-12).all()


def test_reused_module_has_call_indices():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(self.layer(x).tanh())

    sums = zoo_hsic({"a": Problem(Twice().double(), "cross_entropy", vectors(12))})
    assert [layer for _, layer in sums.units] == ["layer", "layer#1"]


def test_cut_of_the_data_does_not_matter():
    """Oracle: the same examples in other micro-batches give the same bits."""
    model, data = CASES["conv_batchnorm"].model(), images(30)
    one = Problem(model, "cross_entropy", data, batch_size=30)
    two = Problem(model, "cross_entropy", uneven(data, [7, 13, 10]))
    sums = zoo_hsic({"one": one, "two": two}, batch_size=10)
    half = len(sums.units) // 2
    total = sums.blocks.sum(0)
    np.testing.assert_array_equal(total[:half, :half], total[half : 2 * half, half : 2 * half])


def test_number_of_blocks_is_bounded():
    problem = Problem(CASES["mlp"].model(), "cross_entropy", vectors(400))
    sums = zoo_hsic({"a": problem}, batch_size=8)
    assert sums.batches == 50
    assert len(sums.blocks) == JACKKNIFE_BLOCKS


def test_layers_are_capped_evenly():
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(11)]).double()
    problem = Problem(model, "cross_entropy", vectors())
    assert choose_layers(problem, ["*"], 3) == ["0", "5", "10"]
    assert choose_layers(problem, ["1*"], 8) == ["1", "10"]


def test_what_cannot_be_compared_is_refused():
    model = CASES["mlp"].model()
    x, y = vectors(20)
    problem = Problem(model, "cross_entropy", (x, y))
    with pytest.raises(InputError, match="same inputs in the same order"):
        zoo_hsic({"a": problem, "b": Problem(model, "cross_entropy", (x.flip(0), y))})
    with pytest.raises(InputError, match="20 examples"):
        zoo_hsic({"a": problem, "b": Problem(model, "cross_entropy", (x[:19], y[:19]))})
    with pytest.raises(InputError, match="at least 4 examples"):
        zoo_hsic({"a": Problem(model, "cross_entropy", (x[:3], y[:3]))})
    with pytest.raises(InputError, match="no layer"):
        zoo_hsic({"a": problem}, layers=["nonsense"])


def test_labels_may_differ():
    """Similarity looks at inputs alone: label noise in the targets is no reason to refuse."""
    x, y = vectors(20)
    model = CASES["mlp"].model()
    problems = {
        "a": Problem(model, "cross_entropy", (x, y)),
        "b": Problem(model, "cross_entropy", (x, y.flip(0))),
    }
    assert zoo_hsic(problems).batches == 1


def test_plan_covers_every_example_once():
    plan = plan_batches(131, 64, 0)
    assert [len(p) for p in plan] == [44, 44, 43]
    assert sorted(torch.cat(plan).tolist()) == list(range(131))


def test_gather_is_indexing():
    """Oracle: indexing the whole tensors."""
    data = sentences(13)
    problem = CASES["transformer_dict"].problem()
    index = torch.tensor([12, 0, 7, 7, 3])
    from landscape.core.data import gather, rebatch

    batch = gather(rebatch(problem.batches, 5), index)
    assert torch.equal(batch.inputs["ids"], data["ids"][index])
    assert torch.equal(batch.target, data["labels"][index])


# The analysis


def test_block_of_two_models():
    """Oracle: the slice by names."""
    from landscape.analyses.cka import block

    problems = {n: CASES[c].problem() for n, c in (("a", "mlp"), ("b", "dropout"))}
    ds = landscape.cka(problems, batch_size=8)
    part = block(ds, "b", "a")
    assert part["cka"].dims == ("layer_a", "layer_b")
    assert list(part["layer_a"].values) == ["0", "1", "3"]
    np.testing.assert_array_equal(part["cka"].values, ds["cka"].values[3:, :3])
    assert float(ds["output_cka"].sel(model="a", other="a")) == pytest.approx(1.0)
    assert int(ds["matched_layers"].sel(model="a", other="b")) == 2
    with pytest.raises(InputError, match="no model 'c'"):
        block(ds, "c")


def test_grams_of_one_shared_sample():
    """Oracle: features taken by hand from the caller's model on the sampled examples."""
    model, (x, _) = CASES["mlp"].model().eval(), vectors(30)
    problem = Problem(model, "cross_entropy", vectors(30), batch_size=7)
    units, grams, outputs = zoo_grams({"a": problem, "b": problem}, layers=["0", "2"], sample=12, seed=5)
    assert units == [("a", "0"), ("a", "2"), ("b", "0"), ("b", "2")]
    index = plan_batches(30, 30, 5)[0][:12]
    with torch.no_grad():
        hidden = model[0](x[index])
        torch.testing.assert_close(torch.from_numpy(outputs[0]), model(x[index]))
    hidden = hidden - hidden.mean(0)
    for gram_ in (grams[0], grams[2]):
        torch.testing.assert_close(torch.from_numpy(gram_), hidden @ hidden.T)

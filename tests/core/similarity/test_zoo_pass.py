"""HSIC and CKA against closed forms, the three-term formula and invariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, images, sentences, uneven, vectors
from feature_sets import noise, three_terms
from torch import nn

import landscape
from landscape import Problem
from landscape.core.features.map_layout import MapLayouts
from landscape.core.similarity.cka import jackknife, normalized
from landscape.core.similarity.zoo_pass import (
    JACKKNIFE_BLOCKS,
    FeatureRows,
    plan_batches,
    zoo_hsic,
    zoo_sample,
)
from landscape.errors import InputError

# Policies


def test_token_and_spatial_policies():
    """Oracle: the same slices and means taken by hand."""
    tokens, maps = noise(3, 17, 5), noise(3, 4, 6, 6)
    layouts = MapLayouts()
    assert torch.equal(FeatureRows("cls").rows(tokens, layouts), tokens[:, 0])
    torch.testing.assert_close(FeatureRows("patch_mean").rows(tokens, layouts), tokens[:, 1:].mean(1))
    assert FeatureRows().rows(tokens, layouts).shape == (3, 85)
    torch.testing.assert_close(FeatureRows(spatial="pooled").rows(maps, layouts), maps.mean((2, 3)))
    assert FeatureRows().rows(maps, layouts).shape == (3, 144)
    assert FeatureRows().rows(maps.half(), layouts).dtype == torch.float32


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
    from landscape.core.data.batches import gather, rebatch

    batch = gather(rebatch(problem.batches, 5), index)
    assert torch.equal(batch.inputs["ids"], data["ids"][index])
    assert torch.equal(batch.target, data["labels"][index])


def test_features_of_one_shared_sample():
    """Oracle: features taken by hand from the caller's model on the sampled examples."""
    model, (x, _) = CASES["mlp"].model().eval(), vectors(30)
    problem = Problem(model, "cross_entropy", vectors(30), batch_size=7)
    problems = {"a": problem, "b": problem}
    units, kept, outputs, _ = zoo_sample(
        problems, lambda x, layer: x.clone(), layers=["0", "2"], sample=12, seed=5
    )
    assert units == [("a", "0"), ("a", "2"), ("b", "0"), ("b", "2")]
    index = plan_batches(30, 30, 5)[0][:12]
    with torch.no_grad():
        hidden = model[0](x[index])
        torch.testing.assert_close(torch.from_numpy(outputs[0]), model(x[index]))
    hidden = hidden - hidden.mean(0)
    for features in (kept[0], kept[2]):
        torch.testing.assert_close(features, hidden)


class Smaller(nn.Module):
    """A model of images half as large, which may shrink them itself."""

    def __init__(self, shrinks):
        super().__init__()
        torch.manual_seed(5)
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
        self.shrink = nn.AvgPool2d(2) if shrinks else nn.Identity()

    def forward(self, x):
        return self.head(torch.tanh(self.conv(self.shrink(x))).mean((2, 3)))


@pytest.mark.parametrize("analysis", [landscape.cka, landscape.similarity])
def test_models_of_other_input_sizes_are_paired_by_order_on_request(analysis):
    """Oracle: the same model that shrinks the large images itself."""
    x, y = noise(24, 3, 12, 12), torch.arange(24) % 3
    small = nn.functional.avg_pool2d(x, 2)
    one = Problem(Smaller(True).double(), "cross_entropy", (x, y))
    two = Problem(Smaller(False).double(), "cross_entropy", (small, y), batch_size=7)
    other = Problem(Smaller(True).double(), "cross_entropy", (x, y))
    layers, name = ("conv", "head"), "cka" if analysis is landscape.cka else "procrustes"
    found = analysis({"a": one, "b": two}, layers=layers, pairing="order")[name].values
    wanted = analysis({"a": one, "b": other}, layers=layers)[name].values
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)
    with pytest.raises(InputError, match=r"\(3, 12, 12\) and 'b' of shape \(3, 6, 6\).*pairing='order'"):
        analysis({"a": one, "b": two})
    mixed = Problem(Smaller(False).double(), "cross_entropy", (small.flip(0), y.flip(0)))
    with pytest.raises(InputError, match="in their targets: paired by order"):
        analysis({"a": one, "b": mixed}, pairing="order")


class Fickle(nn.Module):
    """A layer that runs on few examples only, and one that never takes more than three."""

    def __init__(self):
        super().__init__()
        self.few, self.three, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        shift = self.three(x[:3]).mean(0)
        return self.head(self.few(x) if len(x) < 4 else x + shift)


def test_layers_that_do_not_run_on_every_batch_are_left_out():
    """Oracle: by construction; what is left is as in a model that has the head alone."""
    torch.manual_seed(0)
    model, (x, y) = Fickle().double(), vectors(24)
    problem = Problem(model, "cross_entropy", (x, y))
    sums = zoo_hsic({"a": problem}, batch_size=8)
    assert sums.units == [("a", "head")] and sums.left_out == {"a": ["three", "few"]}
    alone = zoo_hsic({"a": problem}, layers=["head"], batch_size=8)
    np.testing.assert_allclose(sums.blocks, alone.blocks, rtol=1e-12)  # a product of fewer rows rounds else
    assert sums.outputs == alone.outputs == [1]
    units, kept, _, left_out = zoo_sample({"a": problem}, lambda f, layer: f.shape, sample=12)
    assert units == sums.units and kept == [(12, 3)] and left_out == sums.left_out
    with pytest.raises(InputError, match="no layer runs on every batch"):
        zoo_hsic({"a": problem}, layers=["few"], batch_size=8)
    with pytest.raises(InputError, match="no layer runs on every batch"):
        zoo_sample({"a": problem}, lambda f, layer: f, layers=["few"])

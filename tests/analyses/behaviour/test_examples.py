"""``examples``: its numbers against the predictions of the models themselves."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from cases import CASES, images, vectors

import landscape
from landscape import Problem
from landscape.analyses.behaviour.examples import examples, plots
from landscape.base.analysis import Context
from landscape.errors import InputError


def members(count=4):
    found = {}
    for seed in range(count):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = CASES["conv_batchnorm"].model()
            for p in net.parameters():
                p.data += 0.3 * torch.randn_like(p)
        found[f"m{seed}"] = net.eval()
    return found


def problems(nets, count=40):
    return {name: Problem(net, "cross_entropy", images(count), batch_size=16) for name, net in nets.items()}


@pytest.fixture(scope="module")
def result():
    context = Context(groups={"m0": "a", "m1": "a", "m2": "b", "m3": "b"})
    return examples.run(problems(members()), examples.validate({"training": True, "pictures": 5}), context)


@pytest.fixture(scope="module")
def taken():
    x, y = images(40)
    with torch.no_grad():
        p = torch.stack([net(x).double().softmax(-1) for net in members().values()]).numpy()
    return p[:, np.arange(40), y.numpy()], (p.argmax(-1) == y.numpy()).astype(float), x, y


def test_maps_are_those_of_the_probabilities(result, taken):
    """Oracle: softmax of the modules themselves, means and deviations by NumPy."""
    sure, right, _, y = taken
    np.testing.assert_allclose(result["true_probability"], sure, atol=1e-6)
    np.testing.assert_array_equal(result["right"], right)
    np.testing.assert_allclose(result["confidence"], sure.mean(0), atol=1e-6)
    np.testing.assert_allclose(result["variability"], sure.std(0), atol=1e-6)
    np.testing.assert_array_equal(result["correctness"], right.mean(0))
    np.testing.assert_array_equal(result["label"], y)
    assert list(result["set"].values) == ["a", "b"]
    np.testing.assert_allclose(result["set_correctness"], [right[:2].mean(0), right[2:].mean(0)])


def test_consistency_takes_chance_off(result, taken):
    """Oracle: Cohen's κ from the shares of the modules' own answers; agreement alone rises with accuracy."""
    right = taken[1]
    for i, j in ((0, 1), (2, 3)):
        p, q = right[i].mean(), right[j].mean()
        e, o = p * q + (1 - p) * (1 - q), (right[i] == right[j]).mean()
        assert float(result["error_consistency"][i, j]) == pytest.approx((o - e) / (1 - e))
        assert float(result["expected_consistency"][i, j]) == pytest.approx(e)
    np.testing.assert_allclose(np.diagonal(result["error_consistency"]), 1.0)
    np.testing.assert_allclose(np.diagonal(result["error_consistency_se"]), 0.0, atol=1e-12)


def test_what_is_learnt_stays(result, taken):
    """Oracle: each example followed by hand through the models in order."""
    right = taken[1]
    for n in range(40):
        steps = right[:, n]
        falls = sum(a == 1 and b == 0 for a, b in pairwise(steps))
        assert float(result["forgotten"][n]) == falls
        since = next((i for i in range(4) if steps[i:].all()), None)
        assert (np.isnan(result["learnt"][n]) and since is None) or float(result["learnt"][n]) == since


def test_pictures_are_the_images_on_which_groups_differ_most(result, taken):
    """Oracle: the order of the gap between the groups' means; each image as it is, in its own range."""
    sure, _, x, _ = taken
    gap = np.abs(sure[:2].mean(0) - sure[2:].mean(0))
    assert sorted(gap[result["pictured"].values]) == pytest.approx(sorted(gap)[-5:])
    for place, number in enumerate(result["pictured"].values):
        grey = x[number].double().mean(0).numpy()
        np.testing.assert_allclose(result["picture"][place], (grey - grey.min()) / np.ptp(grey), atol=1e-6)
    sheet = next(f for f in plots({"zoo": result}) if f.name == "images_0")
    drawn = sheet.marks[0].z
    side = result.sizes["row"]
    np.testing.assert_allclose(drawn[::-1][:side, :side], result["picture"][0])  # the top left corner
    assert str(int(result["pictured"][0])) in sheet.caption


def test_classes_are_called_as_the_data_calls_them(result):
    """Oracle: the label of each example, looked up by hand."""
    names = [f"kind {n}" for n in "abcdefghij"]
    named = result.assign_attrs(classes=json.dumps(names))
    figures = {f.name: f for f in plots({"zoo": named})}
    called = {
        int(e): names[int(k)] for e, k in zip(result["example"].values, result["label"].values, strict=True)
    }
    first = int(result["pictured"][0])
    assert f"{first} ({called[first]}: " in figures["images_0"].caption
    texts = [t for mark in figures["data_map_0"].marks for t in mark.texts]
    assert sorted(texts) == sorted(f"example {e}, {name}" for e, name in called.items())


def test_inputs_that_are_no_images_have_no_pictures():
    """Oracle: by inspection; and nothing is said of training unless it is."""
    subjects = {n: Problem(CASES["mlp"].model().double(), "cross_entropy", vectors(20)) for n in "ab"}
    ds = landscape.examples(subjects)
    assert not {"picture", "learnt", "forgotten"} & set(ds)
    assert {f.name for f in plots({"zoo": ds})} == {"data_map_0", "error_consistency_0"}


def test_what_cannot_be_compared_is_said():
    """Oracle: the sentences."""
    first, second = (Problem(CASES["mlp"].model().double(), "cross_entropy", vectors(n)) for n in (20, 24))
    with pytest.raises(InputError, match="examples compares models on the same examples"):
        landscape.examples({"a": first, "b": second})
    with pytest.raises(InputError, match="2 are too few"):
        landscape.examples({"a": first, "b": first}, training=True)

"""``collapse`` against closed forms, on features that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.core.similarity.cka import feature_cka
from landscape.errors import InputError

K, D, SPREAD = 4, 6, 0.2


def collapsed():
    """An identity before a last layer whose rows are the corners of a simplex, and clouds about these."""
    corners = torch.eye(K, dtype=torch.float64) - 1.0 / K
    corners = nn.functional.pad(corners / corners.norm(dim=1, keepdim=True), (0, D - K))
    offsets = SPREAD * ((2 * D - 1) / 2) ** 0.5 * torch.cat([torch.eye(D), -torch.eye(D)]).double()
    x = (corners[:, None] + offsets).flatten(0, 1)
    model = nn.Sequential(nn.Identity(), nn.Linear(D, K)).double()
    model[1].weight.data, model[1].bias.data = 3.0 * corners, torch.zeros(K).double()
    return model, (x, torch.arange(K).repeat_interleave(2 * D))


def test_a_collapsed_classifier():
    """Oracle: NC1 = s²(K−1)²/K, NC2 and NC3 are 0; sorted data in batches of one class change nothing."""
    model, data = collapsed()
    for size in (100, 2 * D, 5):
        ds = landscape.collapse(Problem(model, "cross_entropy", data, batch_size=size))
        assert float(ds["nc1"]) == pytest.approx(SPREAD**2 * (K - 1) ** 2 / K, rel=1e-9)
        assert float(ds["nc1_trace_ratio"]) == pytest.approx(SPREAD**2 * D, rel=1e-9)
        for name in ("nc2_norms", "nc2_angles", "nc2_simplex", "nc2_weight_simplex", "nc3"):
            assert float(ds[name]) == pytest.approx(0, abs=1e-9), name
        np.testing.assert_allclose(ds["cosine"], np.where(np.eye(K), 1, -1 / (K - 1)), atol=1e-9)
        assert float(ds["nc4"]) == float(ds["nearest_mean_accuracy"]) == float(ds["accuracy"]) == 1
        assert list(ds["class_examples"]) == [2 * D] * K and bool(ds["possible"])
        assert np.isfinite(ds["alignment"]).all()


def test_the_nearest_classes_are_named():
    """Oracle: one class's cloud is moved next to another's."""
    model, (x, y) = collapsed()
    x[y == 3] += 0.8 * (x[y == 1].mean(0) - x[y == 3].mean(0))
    ds = landscape.collapse(Problem(model, "cross_entropy", (x, y)))
    said = [f.caption for f in landscape.collapse.figures({"m": ds}) if f.name == "cosines"]
    assert "m: class 1 and class 3 (0." in said[0]
    ds = ds.assign_attrs(classes='["ant", "bee", "cat", "dog"]')
    said = [f.caption for f in landscape.collapse.figures({"m": ds}) if f.name == "cosines"]
    assert "Nearest to each other are m: bee and dog (0." in said[0]


def test_alignment_with_the_labels():
    """Oracle: CKA of features and one-hot labels as one batch; of one point per class it is 1."""
    model, (x, y) = collapsed()
    ds = landscape.collapse(Problem(model, "cross_entropy", (x, y)))
    want = feature_cka(x, nn.functional.one_hot(y).double())
    assert float(ds["alignment"][0]) == pytest.approx(want, rel=1e-9)
    points = model[1].weight.detach()[y]
    ds = landscape.collapse(Problem(model, "cross_entropy", (points, y), batch_size=16))
    np.testing.assert_allclose(ds["alignment"], 1, rtol=1e-9)
    assert float(ds["nc1"]) == pytest.approx(0, abs=1e-20)


def test_labels_that_do_not_count_are_left_out():
    """Oracle: the same data without them."""
    model, (x, y) = collapsed()
    some = torch.arange(len(y)) % 5 != 0

    def loss(output, target):  # of which Problem knows no ignored label
        return nn.functional.cross_entropy(output, target.clamp(min=0), reduction="none")

    ignored = landscape.collapse(Problem(model, loss, (x, y.where(some, torch.tensor(-1)))))
    without = landscape.collapse(Problem(model, loss, (x[some], y[some])))
    for name in ("nc1", "nc2_simplex", "nc3", "nc4", "examples", "alignment_examples"):
        np.testing.assert_allclose(ignored[name], without[name], rtol=1e-9)


def test_too_many_classes_and_too_few_examples_are_said():
    """Oracle: 4 classes have no simplex in 2 features; a class of one example has no spread."""
    model = nn.Linear(2, 4).double()
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0)).double()
    ds = landscape.collapse(Problem(model, "cross_entropy", (x, torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3]))))
    assert not bool(ds["possible"]) and np.isnan(ds["nc1"])
    said = {m.name: m.meaning for m in landscape.collapse.summary(ds)}
    assert "no room" in said["NC2"] and "only 1 examples" in said["NC1"]


def test_what_has_no_classes_is_refused():
    x = torch.zeros(3, 2)
    with pytest.raises(InputError, match="one class index"):
        landscape.collapse(Problem(nn.Linear(2, 3), "mse", (x, torch.zeros(3, 3))))
    with pytest.raises(InputError, match="last linear layer"):
        landscape.collapse(
            Problem(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), "cross_entropy", (x, torch.tensor([0, 1, 2])))
        )
    with pytest.raises(InputError, match="fewer than two"):
        landscape.collapse(Problem(nn.Linear(2, 3), "cross_entropy", (x, torch.tensor([1, 1, 1]))))

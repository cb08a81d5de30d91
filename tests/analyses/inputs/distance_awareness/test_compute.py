"""``distance_awareness``: maps that keep distances, doubt that grows with them, and what a predictive has."""

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.errors import InputError

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 3
OTHER = 5 * torch.randn(30, 4, generator=torch.Generator().manual_seed(1))


class Ruler(Predictive):
    """Probabilities of three classes that become even with the distance to 40 points, which is its score."""

    def __init__(self):
        super().__init__()
        self.keep = nn.Linear(4, 4, bias=False)
        nn.init.orthogonal_(self.keep.weight)

    def draws(self, x, samples=None, *, seed=0):
        far = torch.cdist(self.keep(x), X @ self.keep.weight.T).amin(1)
        logits = torch.stack([1 / (0.1 + far), 0 * far, 0 * far], 1)
        return Draws("classification", log_p=logits.log_softmax(-1)[None], score=far)


def test_an_isometry_that_doubts_by_distance_has_every_number_at_its_ideal():
    """Oracle: expansions and singular values 1, rank correlations 1."""
    ds = landscape.distance_awareness(
        Problem(Ruler(), "cross_entropy", (X, Y)), other=OTHER, layer="keep", points=5
    )
    assert ds["expansion"].notnull().sum("pair").values.tolist() == [1000, 40, 40, 40, 1000]
    np.testing.assert_allclose(ds["expansion"].fillna(1.0), 1.0, rtol=1e-3)
    np.testing.assert_allclose(ds["expansion_spread"], 1.0, rtol=1e-3)
    np.testing.assert_allclose(ds["jacobian_largest"], 1.0, rtol=1e-5)
    np.testing.assert_allclose(ds["jacobian_smallest"], 1.0, rtol=1e-5)
    np.testing.assert_allclose(ds["layer_norm"], 1.0, rtol=1e-5)
    assert float(ds["log_norm_product"]) == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(ds["spearman"], 1.0, atol=1e-9)
    np.testing.assert_allclose(ds["point_score"], ds["point_input_distance"], rtol=1e-4)
    assert {f.name for f in landscape.distance_awareness.plots({"a": ds})} == {
        *("expansion", "spread", "jacobian", "layer_norms", "confidence_inputs", "confidence_features"),
    }


def test_an_ensemble_has_its_doubt_alone():
    """Oracle: the declaration: no one feature map; distances between inputs are there."""
    torch.manual_seed(0)
    ensemble = DeepEnsemble([nn.Linear(4, 3), nn.Linear(4, 3)])
    ds = landscape.distance_awareness(Problem(ensemble, "cross_entropy", (X, Y)), other={"far": OTHER})
    assert "expansion" not in ds and int(ds["features"]) == 0
    assert ds["point_feature_distance"].isnull().all()
    assert np.isfinite(ds["spearman"].sel(space="inputs", by="entropy")).all()
    assert ds["spearman"].sel(by="score").isnull().all()
    confidence = ensemble(OTHER).exp().amax(1).detach()
    np.testing.assert_allclose(ds["point_confidence"], confidence, rtol=1e-5)
    assert {f.name for f in landscape.distance_awareness.plots({"a": ds})} == {"confidence_inputs"}


def test_without_other_data_features_alone_are_looked_at():
    """Oracle: the median expansion of a map that doubles everything is 2."""
    first = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        first.weight.copy_(2 * torch.eye(4))
    problem = Problem(nn.Sequential(first, nn.Linear(4, 3)), "cross_entropy", (X, Y))
    ds = landscape.distance_awareness(problem, points=0, radii=())
    np.testing.assert_allclose(ds["expansion_quantile"], 2.0, rtol=1e-5)
    assert "spearman" not in ds and "jacobian_largest" not in ds
    with pytest.raises(InputError, match="not both"):
        landscape.distance_awareness(problem, other=OTHER, other_data=("a:b",))


def test_what_has_no_distances_is_named():
    """Oracle: the sentences the user must see."""
    model = nn.Linear(4, 3)
    with pytest.raises(InputError, match="two examples or more, not 1"):
        landscape.distance_awareness(Problem(model, "cross_entropy", (X[:1], Y[:1])))
    problem = Problem(model, "cross_entropy", (X, Y))
    with pytest.raises(InputError, match=r"'far' have the shape \(5,\), those of the examples \(4,\)"):
        landscape.distance_awareness(problem, other={"far": torch.randn(3, 5)})

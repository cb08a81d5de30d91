from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.core.behaviour.mc_dropout import mc_samples
from landscape.errors import InputError


def _problem(p: float = 0.5, **settings) -> landscape.Problem:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential()
        model.add_module("stages", nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(p)))
        model.add_module("head", nn.Linear(8, 3))
        x, y = torch.randn(20, 1, 4, 4), torch.arange(20) % 3
    return landscape.Problem(model, "cross_entropy", (x, y), **settings)


def test_scores_are_those_of_averaged_probabilities():
    """Oracle: probabilities of each mask averaged by hand, in groups; and a variance in closed form."""
    problem = _problem()
    (batch,) = problem.batches
    ds = landscape.mc_dropout(problem, counts=(1, 2, 4), features="stages")
    p = mc_samples(problem.module, batch.inputs, 4, 0).exp().double()
    rows, y = torch.arange(20), batch.target
    single = torch.stack([-p[i, rows, y].log() for i in range(4)]).mean()
    pairs = torch.stack([-p[i : i + 2].mean(0)[rows, y].log() for i in (0, 2)]).mean()
    np.testing.assert_allclose(ds["nll"].values[:2], [single, pairs], rtol=1e-6)
    right = (p.mean(0).argmax(-1) == y).double().mean()
    assert float(ds["accuracy"].sel(samples=4)) == pytest.approx(float(right))
    assert int(ds["examples"]) == 20
    # masks of a half: E[z²] = 2 z², (E z)² = z²: variance over mean square is 1/2, up to 4 draws
    assert 0.35 < float(ds["feature_variance"]) < 0.65


def test_numbers_do_not_depend_on_the_size_of_batches():
    """Oracle: all examples in one batch, up to the rounding of matrix products of other sizes."""
    whole = landscape.mc_dropout(_problem(), counts=(1, 3), seed=5)
    for size in (3, 12):
        parts = landscape.mc_dropout(_problem(batch_size=size), counts=(1, 3), seed=5)
        for name in ("nll", "accuracy", "ece", "feature_variance"):
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5)
    assert not np.allclose(landscape.mc_dropout(_problem(), counts=(1, 3), seed=6)["nll"], whole["nll"])


def test_features_of_the_whole_model_are_its_outputs():
    """Oracle: variance over mean square of the logits under the same masks, by hand."""
    problem = _problem()
    (batch,) = problem.batches
    ds = landscape.mc_dropout(problem, counts=(6,))
    logits = []
    handle = problem.module.register_forward_hook(lambda _, __, out: logits.append(out.detach()))
    mc_samples(problem.module, batch.inputs, 6, 0)
    handle.remove()
    drawn = torch.stack(logits).double().numpy()
    want = drawn.var(0, ddof=1).sum() / (drawn**2).mean(0).sum()
    assert float(ds["feature_variance"]) == pytest.approx(want, rel=1e-9)


def test_one_mask_has_no_variance():
    """Oracle: a sample of one has none: NaN, and no warning."""
    ds = landscape.mc_dropout(_problem(), counts=(1,))
    assert np.isnan(float(ds["feature_variance"]))
    assert [m.name for m in landscape.mc_dropout.summary(ds)] == ["NLL, 1 masks", "feature variance"]


def test_what_cannot_be_sampled_is_refused_in_one_sentence():
    """Oracle: the sentences say what is wrong and how to mend it."""
    with pytest.raises(InputError, match=r"^mc_dropout: Sequential has no dropout to sample from; it needs"):
        landscape.mc_dropout(_problem(p=0.0))
    with pytest.raises(InputError, match="no module 'stage'; did you mean 'stages'"):
        landscape.mc_dropout(_problem(), features="stage")
    with pytest.raises(InputError, match="without a forward of its own"):
        landscape.mc_dropout(_problem(forward=lambda model, batch: model(batch[0])))
    with pytest.raises(InputError, match="one or more different numbers of masks"):
        landscape.mc_dropout(_problem(), counts=(2, 2))
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    regression = landscape.Problem(model, "mse", (torch.randn(6, 2), torch.randn(6, 1)))
    with pytest.raises(InputError, match="logits"):
        landscape.mc_dropout(regression)


def test_one_logit_is_averaged_as_two():
    """Oracle: the problem of the logits 0 and z under the same masks."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.4))
    x, y = torch.randn(30, 6), (torch.rand(30) < 0.5).float()
    one, two = nn.Linear(8, 1), nn.Linear(8, 2)
    two.weight.data = torch.cat([0 * one.weight, one.weight]).detach()
    two.bias.data = torch.cat([0 * one.bias, one.bias]).detach()
    settings = {"counts": (1, 3), "features": "0"}
    single = landscape.Problem(nn.Sequential(*body, one), nn.BCEWithLogitsLoss(), (x, y[:, None]))
    double = landscape.Problem(nn.Sequential(*body, two), "cross_entropy", (x, y.long()))
    found, expected = (landscape.mc_dropout(p, **settings) for p in (single, double))
    for name in ("nll", "accuracy", "ece", "feature_variance"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)

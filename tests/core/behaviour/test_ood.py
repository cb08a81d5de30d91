"""Detection of other data against brute force, the bootstrap, and cases with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator

import landscape
from landscape.core.behaviour.calibration import predict
from landscape.core.behaviour.ood import auroc, predict_other
from landscape.errors import InputError


def brute_force(inside, outside):
    return np.mean([[1.0 if a > b else 0.5 if a == b else 0.0 for b in outside] for a in inside])


@pytest.mark.parametrize("seed", range(4))
def test_auroc_is_the_share_of_pairs(seed):
    """Oracle: every pair compared in a double loop, with many ties."""
    rng = np.random.default_rng(seed)
    inside, outside = rng.integers(0, 9, 40) / 9 + 0.2, rng.integers(0, 9, 23) / 9
    assert auroc(inside, outside)[0] == pytest.approx(brute_force(inside, outside), abs=1e-12)
    assert auroc(outside, inside)[0] == pytest.approx(1 - brute_force(inside, outside), abs=1e-12)


def test_auroc_error_is_the_spread_over_data():
    """Oracle: the standard deviation over fresh draws; two unit normals one apart have Phi(1/sqrt 2)."""
    rng = np.random.default_rng(0)
    found = np.array([auroc(rng.normal(1, 1, 60), rng.normal(0, 1, 40)) for _ in range(400)])
    assert found[:, 0].mean() == pytest.approx(0.7602, abs=0.01)
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(ddof=1), rel=0.1)


def test_auroc_of_few_or_no_numbers():
    """Oracle: NaN stays NaN; one score of a kind has a value but no error."""
    assert np.isnan(auroc(np.array([1.0, np.nan]), np.array([0.0, 0.5]))).all()
    value, error = auroc(np.array([1.0]), np.array([0.0, 0.5]))
    assert value == 1.0
    assert np.isnan(error)


def test_calibration_detects_other_data():
    """Oracle: brute force on confidences of the same model; without other data NaN; both forms agree."""
    problem = CASES["mlp"].problem()
    x = 3.0 * torch.randn(21, *problem.batches[0].inputs.shape[1:], generator=generator(3)).double()
    ds = landscape.calibration(problem, ood=x)
    inside, outside = predict(problem), predict_other(problem, (x, torch.zeros(21, dtype=torch.long)))
    expected = brute_force(inside.confidence, outside.confidence)
    assert float(ds["ood_auroc_confidence"]) == pytest.approx(expected, abs=1e-12)
    assert float(ds["ood_auroc_entropy"]) == pytest.approx(brute_force(-inside.entropy, -outside.entropy))
    assert int(ds["ood_examples"]) == 21
    assert "ood" in ds.attrs["inputs"]
    assert "ood_auroc" in {spec.name for spec in landscape.calibration.plots({"m": ds})}
    assert np.isnan(landscape.calibration(problem)["ood_auroc_confidence"])


def other_data():
    """What a manifest may name."""
    return torch.zeros(4, *CASES["mlp"].problem().batches[0].inputs.shape[1:]).double(), torch.zeros(4).long()


def test_a_builder_gives_the_same_as_the_data():
    """Oracle: the data that the function returns, given as the input."""
    problem = CASES["mlp"].problem()
    named = landscape.calibration(problem, ood_data=f"{__name__}:other_data")
    given = landscape.calibration(problem, ood=other_data())
    assert float(named["ood_auroc_confidence"]) == float(given["ood_auroc_confidence"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ood_data": "no_such_module:f"}, "no_such_module:f': there is no module 'no_such_module'"),
        ({"ood_data": "math:nothing"}, "math:nothing': 'math' has no 'nothing'"),
        ({"ood_data": "math:sqrt"}, "math:sqrt' called with .. raised TypeError"),
        ({"ood_data": "nonsense"}, "ood_data"),
        ({"ood": torch.zeros(3, 99).double()}, "inputs of its own shape"),
        ({"ood": other_data(), "ood_data": "math:sqrt"}, "not both"),
    ],
)
def test_what_cannot_be_used_is_refused(options, words):
    """Oracle: the sentence names what was wrong."""
    with pytest.raises(InputError, match=words):
        landscape.calibration(CASES["mlp"].problem(), **options)

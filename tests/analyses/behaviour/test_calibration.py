"""``calibration`` against the problem itself, and told from other data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator
from torch import nn

import landscape
from landscape import Problem
from landscape.core.behaviour.calibration import calibration_error, predict
from landscape.core.behaviour.ood import predict_other
from landscape.errors import InputError


def test_analysis_agrees_with_the_problem():
    """Oracle: the problem's own loss and accuracy."""
    problem = CASES["conv_batchnorm"].problem()
    ds = landscape.calibration(problem)
    measure = problem.measure()
    assert float(ds["nll"]) == pytest.approx(measure.loss)
    assert float(ds["accuracy"]) == pytest.approx(measure.accuracy)
    assert int(ds["bin_count"].sum()) == int(ds["mass_bin_count"].sum()) == problem.examples
    assert float(ds["threshold_kept"][0]) == 1.0
    assert float(ds["threshold_accuracy"][0]) == pytest.approx(measure.accuracy)
    assert float(ds["nll_at_temperature"]) <= float(ds["nll"])


def test_what_is_no_classification_is_refused():
    with pytest.raises(InputError, match="no such classification"):
        landscape.calibration(CASES["regression"].problem())
    dense = nn.Conv2d(1, 3, 1)
    data = (torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long))
    with pytest.raises(InputError, match="no such classification"):
        landscape.calibration(Problem(dense, "cross_entropy", data))


def share_of_pairs(inside, outside):
    """The share of pairs in which the first is larger, ties counted half: the area under the ROC curve."""
    return np.mean(np.greater.outer(inside, outside) + 0.5 * np.equal.outer(inside, outside))


def test_calibration_detects_other_data():
    """Oracle: all pairs of confidences of the same model; without other data NaN; both forms agree."""
    problem = CASES["mlp"].problem()
    x = 3.0 * torch.randn(21, *problem.batches[0].inputs.shape[1:], generator=generator(3)).double()
    ds = landscape.calibration(problem, ood=x)
    inside, outside = predict(problem), predict_other(problem, (x, torch.zeros(21, dtype=torch.long)))
    expected = share_of_pairs(inside.confidence, outside.confidence)
    assert float(ds["ood_auroc_confidence"]) == pytest.approx(expected, abs=1e-12)
    assert float(ds["ood_auroc_entropy"]) == pytest.approx(share_of_pairs(-inside.entropy, -outside.entropy))
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


def test_a_temperature_fitted_on_held_out_data():
    """Oracle: the temperature that the fit data's own analysis finds, and the scores with it by hand."""
    problem = CASES["mlp"].problem()
    x = torch.randn(40, *problem.batches[0].inputs.shape[1:], generator=generator(5), dtype=torch.float64)
    labels = problem.module(x).argmax(1).detach()
    labels[:8] = (labels[:8] + 1) % 3  # some errors, so that the temperature is neither 0 nor infinite
    held = (x, labels)
    ds = landscape.calibration(problem, fit=held)
    want = float(
        landscape.calibration(problem.on(Problem(problem.module, "cross_entropy", held).batches))[
            "temperature"
        ]
    )
    assert 0 < want < np.inf
    assert float(ds["temperature_fitted"]) == pytest.approx(want)
    scaled = predict(problem).scaled(want)
    assert float(ds["nll_scaled"]) == pytest.approx(scaled.nll.mean())
    assert float(ds["brier_scaled"]) == pytest.approx(scaled.brier.mean())
    assert float(ds["ece_scaled"]) == pytest.approx(calibration_error(scaled))
    assert int(ds["fit_examples"]) == 40
    assert {"fitted temperature", "scaled NLL"} <= {m.name for m in landscape.calibration.summary(ds)}
    plain = landscape.calibration(problem)
    assert "temperature_fitted" not in plain
    assert "fit_data" not in plain.attrs["parameters"]  # keys of results of before the option stay
    with pytest.raises(InputError, match="either the input fit or the option fit_data"):
        landscape.calibration(problem, fit=held, fit_data="package:function")

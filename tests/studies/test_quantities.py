from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from landscape.reference.training.loop import TrainResult
from landscape.studies import quantities
from landscape.studies.ensembles import Ensemble
from landscape.studies.findings import Finding

KINDS = {"more": "a", "than": "b"}


@pytest.mark.parametrize("name", quantities.__all__)
def test_each_makes_a_finding_whose_fields_a_study_may_set(name: str):
    """Oracle: what is given stands in the finding, over what the quantity says itself."""
    more = {"mc_dropout": ("nll",), "mean_gain": ("mlp",), "gain_after": ("mlp",), "growth_after": ("mlp",)}
    finding = getattr(quantities, name)("c", *more.get(name, ()), paper="p", **KINDS)
    assert isinstance(finding, Finding)
    assert (finding.claim, finding.paper, finding.kinds) == ("c", "p", ("a", "b"))
    assert finding.of


def test_units_follow_from_what_is_read():
    """Oracle: numbers put in by hand; shares become percentage points, logarithms say of what."""
    averaged = xr.Dataset(
        {
            "nll": ("samples", [3.0, 2.0]),
            "accuracy": ("samples", [0.5, 0.75]),
            "ece": ("samples", [0.1, 0.2]),
        },
        coords={"samples": [1, 10]},
    )
    for score, samples, unit, want in (
        ("nll", 1, "nats", 3.0),
        ("nll", 10, "nats", 2.0),
        ("accuracy", 10, "points", 75.0),
        ("ece", 1, "", 0.1),
    ):
        finding = quantities.mc_dropout("c", score, samples, **KINDS)
        assert (finding.of, finding.unit) == ("mc_dropout", unit)
        assert finding.scale * finding.effect(averaged) == want
    spectra = quantities.positive_eigenvalues("c", **KINDS)
    assert spectra.effect(xr.Dataset({"mean_positive": np.exp(2.0)})) == pytest.approx(2.0)
    assert (spectra.of, spectra.unit, spectra.sizes) == ("batch_spectra", "ln of the mean", False)


def test_training_says_how_large_models_are_and_ensembles_how_they_are_judged():
    """Oracle: the losses and accuracies put in; the documented notes."""
    result = TrainResult(
        train_accuracy=0.75, test_accuracy=0.5, train_loss=0.25, test_loss=2.0, epochs=7, seconds=1.0
    )
    accuracy, loss = quantities.accuracy("c", **KINDS), quantities.loss("c", **KINDS)
    assert (accuracy.scale * accuracy.effect(result), loss.effect(result)) == (50.0, 2.0)
    assert accuracy.sizes
    assert loss.sizes
    together = quantities.ensemble_nll("c", **KINDS)
    assert (together.effect, together.note) == (Ensemble.nll, "no dropout; jackknife over seeds")

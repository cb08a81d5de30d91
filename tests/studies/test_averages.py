from __future__ import annotations

from pathlib import Path

from study_models import trained

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference.uncertainty import spread_ensemble
from landscape.studies.averages import Average
from landscape.studies.measure import On, sections


def test_an_average_is_a_predictive_of_its_kind(tmp_path: Path):
    """Oracle: names by hand; the builder as a manifest names it."""
    models = [trained(kind, seed, tmp_path) for kind in ("a", "b") for seed in (0, 1)]
    spec = Average("mean", "b", DeepEnsemble, {"kind": "regression"}).spec(models)
    assert (spec.name, spec.members, spec.group) == ("mean", ("b-s0", "b-s1"), "mean")
    assert spec.builder.reference == "landscape.core.behaviour.deep_ensemble:DeepEnsemble"
    assert spec.builder.kwargs == {"kind": "regression"}
    other = Average("m", "b", spread_ensemble).spec(models)
    assert other.builder.reference == "landscape.reference.uncertainty:spread_ensemble"


def test_analyses_of_predictions_look_at_averages():
    """Oracle: sections by hand: those of the kinds asked for, and no analysis of curvature."""
    measures = [On("test", "calibration"), On("test", "uncertainty", kinds=("a*",)), On("train", "spectrum")]
    found = sections(measures, (0, 1), ["a-mean", "b-mean"])
    models = {label: made[0].models for label, made in found.items()}
    assert models == {
        "calibration": ("*-s*", "a-mean", "b-mean"),
        "uncertainty": ("a*-s*", "a-mean"),
        "spectrum": ("*-s*",),
    }

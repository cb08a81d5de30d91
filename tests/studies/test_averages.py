from __future__ import annotations

from pathlib import Path

from study_models import trained

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference.uncertainty import spread_ensemble, temperature_scaled
from landscape.studies.averages import Average
from landscape.studies.data import Data
from landscape.studies.measure import On, sections

DATA = Data.digits(20, 10).validated(5)


def test_an_average_is_a_predictive_of_its_kind(tmp_path: Path):
    """Oracle: names by hand; the builder as a manifest names it."""
    models = [trained(kind, seed, tmp_path) for kind in ("a", "b") for seed in (0, 1)]
    (spec,) = Average("mean", "b", DeepEnsemble, {"kind": "regression"}).specs(models, DATA)
    assert spec.fit is None
    assert (spec.name, spec.members, spec.group) == ("mean", ("b-s0", "b-s1"), "mean")
    assert spec.builder.reference == "landscape.core.behaviour.deep_ensemble:DeepEnsemble"
    assert spec.builder.kwargs == {"kind": "regression"}
    (other,) = Average("m", "b", spread_ensemble).specs(models, DATA)
    assert other.builder.reference == "landscape.reference.uncertainty:spread_ensemble"


def test_analyses_of_predictions_look_at_averages():
    """Oracle: sections by hand: those of the kinds asked for, and no analysis of curvature.

    An average that is asked for by its name is no kind of models, of which there would be none.
    """
    measures = [On("test", "calibration"), On("test", "uncertainty", kinds=("a*",)), On("train", "spectrum")]
    averages = [Average(f"{kind}-mean", kind, DeepEnsemble) for kind in ("a", "b")]
    found = sections(measures, (0, 1), averages)
    models = {label: made[0].models for label, made in found.items()}
    assert models == {
        "calibration": ("*-s*", "a-mean", "b-mean"),
        "uncertainty": ("a*-s*", "a-mean"),
        "spectrum": ("*-s*",),
    }
    (alone,) = sections([On("test", "uncertainty", kinds=("a", "a-mean"))], (0, 1), averages)["uncertainty"]
    assert alone.models == ("a-s*", "a-mean")


def test_one_for_each_model_that_is_fitted(tmp_path: Path):
    """Oracle: names and the builder of the data by hand."""
    models = [trained(kind, seed, tmp_path) for kind in ("a", "b") for seed in (0, 2)]
    average = Average("cool", "a", temperature_scaled, fit="validation", each=True)
    first, second = average.specs(models, DATA)
    assert (first.name, first.members, first.group) == ("cool-s0", ("a-s0",), "cool")
    assert (second.name, second.members) == ("cool-s2", ("a-s2",))
    assert first.fit == DATA.others["validation"]
    (section,) = sections([On("test", "uncertainty", kinds=("cool",))], (0, 2), [average])["uncertainty"]
    assert section.models == ("cool-s*",)


def test_what_is_fitted_is_kept_beside_the_weights(tmp_path: Path):
    """Oracle: the folder by hand, in what the builder is given."""
    models = [trained("a", 0, tmp_path)]
    (spec,) = Average("chain", "a", temperature_scaled, {"x": 1}, fit="train", kept=True).specs(models, DATA)
    assert spec.builder.kwargs == {"x": 1, "folder": str(models[0].path.parent / "posteriors")}

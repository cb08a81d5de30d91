from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from study_models import RESULT, linear, trained

from landscape.reference.compression import prune
from landscape.reference.training import checkpoints
from landscape.reference.training.recipe import PostProcessing, Recipe
from landscape.studies.data import Data
from landscape.studies.training import describe, kind, train_models


def test_models_by_recipe_and_seed_and_not_trained_again(tmp_path: Path):
    """Oracle: names in order; the weights' files; a second call tells of each model and leaves its file."""
    settings = {"epochs": 1, "lr": 0.1, "batch_size": 20, "optimizer": "sgd", "schedule": "constant"}
    recipes = [Recipe(kind, linear, {}, settings, {"kind": kind}) for kind in ("b", "a")]
    pairs = [(recipe, seed) for recipe in recipes for seed in (0, 1)]
    told: list[str] = []
    data = Data.digits(40, 20)
    first = train_models(pairs, data, tmp_path, on_model=told.append)
    assert [m.name for m in first] == ["b-s0", "b-s1", "a-s0", "a-s1"] == told
    assert all(m.path == tmp_path / f"{m.name}.safetensors" for m in first)
    notes = checkpoints.read_notes(first[0].path)
    assert notes is not None
    assert notes["metrics"]["test_accuracy"] == first[0].result.test_accuracy
    before = [m.path.stat().st_mtime_ns for m in first]
    again = train_models(pairs, data, tmp_path)
    assert [m.path.stat().st_mtime_ns for m in again] == before
    spec = first[3].spec()
    assert (spec.name, spec.group, spec.seed, spec.builder.reference) == (
        "a-s1",
        "a",
        1,
        "study_models:linear",
    )


def test_description_of_a_kind(tmp_path: Path):
    """Oracle: 784 · 10 + 10 parameters; epochs and loss as put in."""
    models = [trained("a", seed, tmp_path) for seed in (0, 1)]
    assert describe(models) == f"a: 7.85k parameters, {RESULT.epochs} epochs, training loss 0.25"


def test_a_kind_is_called_and_tagged_by_its_name():
    """Oracle: the recipe written out."""
    assert kind("a", linear, {"x": 1}, {"epochs": 2}) == Recipe(
        "a", linear, {"x": 1}, {"epochs": 2}, {"kind": "a"}
    )


def test_what_follows_the_training_is_done(tmp_path: Path):
    """Oracle: counting zeros in the file; the trained weights beside it."""
    settings = {"epochs": 1, "lr": 0.1, "batch_size": 20, "optimizer": "sgd"}
    after = (PostProcessing(prune, {"share": 0.5}),)
    pruned = Recipe("half", linear, {}, settings, {"kind": "half"}, after)
    (model,) = train_models([(pruned, 0)], Data.digits(40, 20), tmp_path)
    weights = load_file(model.path)
    assert sum(int((w == 0).sum()) for w in weights.values()) == 3920
    assert (tmp_path / "half-s0-trained.safetensors").exists()
    assert model.result.test_accuracy == checkpoints.read_notes(model.path)["metrics"]["test_accuracy"]

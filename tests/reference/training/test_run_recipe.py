import hashlib

import pytest
import torch
from safetensors.torch import load_file

from landscape.reference import models
from landscape.reference.compression import prune
from landscape.reference.training import evaluate, train
from landscape.reference.training.checkpoints import load_weights, read_notes
from landscape.reference.training.recipe import PostProcessing, Recipe
from landscape.reference.training.run_recipe import run_recipe


def examples(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 6, generator=generator), torch.randint(0, 3, (count,), generator=generator)


DATA, TEST = examples(24, 0), examples(10, 1)
CALLS = []


def counted(model, data, share):
    """Pruning that tells that it was called, and with how many examples."""
    CALLS.append(len(data[1]))
    return prune(model, data, share=share)


def recipe(*after):
    return Recipe(
        "mlp", models.mlp, {"widths": (6, 5, 3)}, {"epochs": 3, "batch_size": 7, "lr": 0.01}, {}, tuple(after)
    )


def test_without_steps_it_is_the_training_that_it_was(tmp_path):
    """Oracle: the file of `train`, called by hand with the recipe's settings, byte for byte."""
    result = run_recipe(recipe(), 4, DATA, TEST, path=tmp_path / "a.safetensors")
    model = recipe().build(4)
    note = {"builder": "landscape.reference.models:mlp", "kwargs": {"widths": (6, 5, 3)}}
    by_hand = train(
        model,
        DATA,
        TEST,
        path=tmp_path / "b.safetensors",
        epochs=3,
        batch_size=7,
        lr=0.01,
        seed=4,
        note=note,
    )
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert result.metrics() == by_hand.metrics()


def test_steps_make_a_checkpoint_of_the_trained_one(tmp_path):
    """Oracle: the trained weights that stay beside it, pruned by hand; losses of the file as it is loaded."""
    path = tmp_path / "a.safetensors"
    run_recipe(recipe(), 4, DATA, TEST, path=tmp_path / "plain.safetensors")
    result = run_recipe(recipe(PostProcessing(prune, {"share": 0.5})), 4, DATA, TEST, path=path)
    trained, made = (load_file(tmp_path / f"{name}.safetensors") for name in ("a-trained", "a"))
    assert (tmp_path / "a-trained.safetensors").read_bytes() == (tmp_path / "plain.safetensors").read_bytes()
    assert sum(int((made[n] == 0).sum()) for n in ("fc1.weight", "fc2.weight")) == 22  # round(22.5)
    for name, value in made.items():
        assert torch.equal(value[value != 0], trained[name][value != 0])
        assert torch.equal(value, trained[name]) == name.endswith("bias")
    model = recipe().build(0)
    load_weights(model, path)
    assert (result.train_loss, result.train_accuracy) == evaluate(model, DATA)
    assert (result.test_loss, result.test_accuracy) == evaluate(model, TEST)
    assert result.epochs == 3
    assert read_notes(path) == {
        "identity": {
            "trained": hashlib.sha256((tmp_path / "plain.safetensors").read_bytes()).hexdigest(),
            "after": [{"function": "landscape.reference.compression:prune", "options": {"share": 0.5}}],
        },
        "metrics": result.metrics(),
    }


def test_what_is_done_is_not_done_again_and_other_options_are(tmp_path):
    """Oracle: how often the step was called, and the bytes it left."""
    path = tmp_path / "a.safetensors"
    CALLS.clear()

    def run(share, seed=4):
        step = PostProcessing(counted, {"share": share})
        return run_recipe(recipe(step), seed, DATA, TEST, path=path).metrics()

    first = run(0.5)
    left = path.read_bytes()
    assert run(0.5) == first
    assert CALLS == [24]
    assert path.read_bytes() == left
    run(0.9)
    assert CALLS == [24, 24]
    assert path.read_bytes() != left
    run(0.9, seed=5)  # other weights below it
    assert CALLS == [24, 24, 24]
    run(0.5)
    assert path.read_bytes() == left


def test_changes_take_the_place_of_the_recipes_settings(tmp_path):
    """Oracle: the epochs that are reported and returned."""
    seen = []
    result = run_recipe(
        recipe(), 0, DATA, TEST, path=tmp_path / "a", epochs=1, on_epoch=lambda *r: seen.append(r[:2])
    )
    assert seen == [(1, 1)]
    assert result.epochs == 1


def test_a_step_that_fails_leaves_the_trained_weights(tmp_path):
    """Oracle: the files that are there; the next call trains nothing."""
    step = PostProcessing(counted, {"share": 2.0})
    with pytest.raises(ValueError, match="share"):
        run_recipe(recipe(step), 0, DATA, TEST, path=tmp_path / "a.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["a-trained.safetensors"]
    seen = []
    step = PostProcessing(prune, {"share": 0.2})
    run_recipe(
        recipe(step), 0, DATA, TEST, path=tmp_path / "a.safetensors", on_epoch=lambda *r: seen.append(r[:2])
    )
    assert seen == [(3, 3)]

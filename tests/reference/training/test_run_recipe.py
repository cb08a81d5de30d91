import hashlib

import pytest
import torch
from safetensors.torch import load_file

import landscape
from landscape.reference import compression, models
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


COMPRESSIONS = {
    "prune": {"share": 0.5, "scope": "random"},
    "prune_iteratively": {"share": 0.5, "rounds": 2, "epochs": 1},
    "quantise": {"bits": 3},
    "quantise_aware": {"bits": 3, "epochs": 1},
    "low_rank": {"share": 0.4},
}


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_the_plain_builder_loads_what_a_compression_made_and_a_manifest_names_it(tmp_path, name):
    """Oracle: a zoo of the recipe's own builder, whose losses are those that the recipe reports."""
    step = PostProcessing(getattr(compression, name), COMPRESSIONS[name])
    assert step.describe()["function"] == f"landscape.reference.compression:{name}"
    result = run_recipe(recipe(step), 4, DATA, TEST, path=tmp_path / "small.safetensors")
    torch.save(DATA, tmp_path / "data.pt")
    (tmp_path / "my_data.py").write_text(
        "import torch\n\ndef data(path):\n    return torch.load(path)\n", encoding="utf-8"
    )
    (tmp_path / "manifest.toml").write_text(
        "[model]\nbuilder = 'landscape.reference.models:mlp'\nkwargs = { widths = [6, 5, 3] }\n"
        f"[data]\nbuilder = 'my_data:data'\nkwargs = {{ path = '{tmp_path / 'data.pt'}' }}\n"
        "[[checkpoints]]\npath = 'small.safetensors'\n"
        "[analyses.compression]\nbits = [4]\nprune = []\nlayers = false\ncurvature = false\n",
        encoding="utf-8",
    )
    zoo = landscape.Zoo.from_manifest(tmp_path / "manifest.toml")
    assert zoo.run(store=tmp_path / "results").failed == ()
    (path,) = (tmp_path / "results" / "compression").glob("*.h5")
    ds = landscape.open(path)
    assert float(ds["loss"]) == pytest.approx(result.train_loss, rel=1e-5)
    assert float(ds["accuracy"]) == pytest.approx(result.train_accuracy)

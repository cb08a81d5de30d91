import tomllib
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import landscape
from landscape import Zoo
from landscape.errors import InputError
from landscape.reference import demo as zoo
from landscape.reference import models
from landscape.reference.compression import prune
from landscape.reference.data import digits
from landscape.reference.demo import RECIPES, build_zoo
from landscape.reference.training.loop import evaluate
from landscape.reference.training.recipe import PostProcessing, Recipe

pytest.importorskip("mlxtend", reason="the zoo needs the extra 'demo'")


class Killed(BaseException):
    """Stands for a process that ends: nothing catches it."""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """One quick zoo with its reports, shared by the tests that only read it."""
    reports = []
    path = build_zoo(tmp_path_factory.mktemp("zoo"), quick=True, on_progress=lambda *r: reports.append(r))
    return path, reports


def test_manifest_names_files_builders_and_metrics(built):
    """Oracle: the TOML reader of the standard library and the files themselves."""
    path, _ = built
    manifest = tomllib.loads(path.read_text())
    names = ["resnet-s0", "resnet-s1", "vit-s0", "vit-s1"]
    assert [entry["name"] for entry in manifest["checkpoints"]] == names
    assert {p.name for p in (path.parent / "checkpoints").iterdir()} == {
        f"{name}.safetensors" for name in names
    }
    test_data = digits("test", zoo.QUICK_DIGITS)
    for entry in manifest["checkpoints"]:
        module, _, function = entry["builder"].partition(":")
        assert module == models.__name__
        model = getattr(models, function)(**entry["kwargs"])
        model.load_state_dict(load_file(path.parent / entry["path"]))
        loss, accuracy = evaluate(model, test_data)
        assert accuracy == pytest.approx(entry["metrics"]["test_accuracy"], abs=2 / 320)
        assert loss == pytest.approx(entry["metrics"]["test_loss"], rel=1e-3)
        assert entry["name"] == f"{entry['group']}-s{entry['seed']}"
    assert manifest["data"] == {
        "builder": "landscape.reference.data:digits",
        "kwargs": {"split": "train", "count": 64},
    }
    assert manifest["problem"]["weight_decay"] == 0.0
    assert {"spectrum", "line", "fourier", "surface", "uncertainty"} <= manifest["analyses"].keys()
    predictives = ["resnet-ensemble", "vit-ensemble", "resnet-laplace"]
    assert [p["name"] for p in manifest["predictives"]] == predictives
    assert Zoo.from_manifest(path).predictives == predictives
    assert manifest["predictives"][2]["fit"]["kwargs"] == {"split": "train", "count": 320}


def test_progress_is_reported_after_each_epoch(built):
    """Oracle: four models of two epochs each, in order."""
    _, reports = built
    names = ("resnet-s0", "resnet-s1", "vit-s0", "vit-s1")
    assert [r[:3] for r in reports] == [(n, e, 2) for n in names for e in (1, 2)]


def test_seeds_give_different_models(built):
    """Oracle: the saved tensors."""
    folder = built[0].parent / "checkpoints"
    first, second = (load_file(folder / f"vit-s{seed}.safetensors") for seed in (0, 1))
    assert not torch.equal(first["head.weight"], second["head.weight"])


TINY = Recipe(
    group="mlp",
    builder=models.mlp,
    kwargs={"widths": (784, 10)},
    training={"epochs": 3, "batch_size": 80},
    tags={"method": 'é "quoted"'},
)


def test_a_compressed_model_is_a_checkpoint_that_a_zoo_loads(tmp_path):
    """Oracle: zeros counted in the file, and the accuracy of that file loaded by hand, on the zoo's data."""
    widths = (784, 8, 10)  # a small last layer, since the demo's Laplace inverts the whole of it
    recipe = replace(TINY, kwargs={"widths": widths}, after=(PostProcessing(prune, {"share": 0.8}),))
    path = build_zoo(tmp_path, quick=True, recipes=[recipe], seeds=[0], jobs=2)
    manifest = tomllib.loads(path.read_text(encoding="utf-8"))
    (entry,) = manifest["checkpoints"]
    assert [p["name"] for p in manifest["predictives"]] == ["mlp-laplace"]  # an ensemble of one is none
    state = load_file(path.parent / entry["path"])
    zeros = sum(int((state[f"fc{layer}.weight"] == 0).sum()) for layer in (1, 2))
    assert zeros == round(0.8 * (784 * 8 + 8 * 10))
    model = models.mlp(widths)
    model.load_state_dict(state)
    result = Zoo.from_manifest(path).run(["calibration"], store=tmp_path / "store")
    results = map(landscape.open, (tmp_path / "store" / "calibration").glob("*.h5"))
    (found,) = (ds for ds in results if ds.attrs["model"] == entry["name"])
    assert float(found["accuracy"]) == evaluate(model, digits("train", 64))[1]
    assert not result.failed
    assert entry["metrics"]["test_accuracy"] == evaluate(model, digits("test", zoo.QUICK_DIGITS))[1]


def test_killed_and_built_again_gives_the_same_bytes(tmp_path):
    """Oracle: a zoo that was never interrupted; finished models are not trained again."""
    whole = build_zoo(tmp_path / "whole", quick=True, recipes=[TINY])
    reports = []

    def kill(name, epoch, epochs, loss, accuracy):
        reports.append((name, epoch))
        if (name, epoch) == ("mlp-s1", 1):
            raise Killed

    with pytest.raises(Killed):
        build_zoo(tmp_path / "killed", quick=True, recipes=[TINY], on_progress=kill)
    again = build_zoo(tmp_path / "killed", quick=True, recipes=[TINY], on_progress=kill)
    assert reports == [
        ("mlp-s0", 1),
        ("mlp-s0", 2),
        ("mlp-s1", 1),
        ("mlp-s0", 2),
        ("mlp-s1", 2),
    ]
    assert again.read_bytes() == whole.read_bytes()
    for seed in (0, 1):
        name = f"checkpoints/mlp-s{seed}.safetensors"
        assert (again.parent / name).read_bytes() == (whole.parent / name).read_bytes()


def test_a_quick_zoo_is_not_taken_for_a_full_one(tmp_path):
    """Oracle: the epochs reported by the second build."""
    build_zoo(tmp_path, quick=True, recipes=[TINY], seeds=[0])
    reports = []
    build_zoo(tmp_path, recipes=[TINY], seeds=[0], on_progress=lambda *r: reports.append(r[1:3]))
    assert reports == [(1, 3), (2, 3), (3, 3)]


def test_callers_threads_and_random_numbers_are_untouched(tmp_path):
    """Oracle: torch's own settings before and after, also when the build fails."""
    torch.set_num_threads(2)
    torch.manual_seed(4)
    state = torch.get_rng_state()
    build_zoo(tmp_path, quick=True, recipes=[TINY], seeds=[0])
    with pytest.raises(InputError, match="seed must be"):
        build_zoo(tmp_path, quick=True, recipes=[TINY], seeds=[-1])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert threads == 2
    assert torch.equal(torch.get_rng_state(), state)


def test_text_survives_the_manifest(tmp_path):
    """Oracle: the TOML reader of the standard library, on quotes and letters beyond ASCII."""
    path = build_zoo(tmp_path, quick=True, recipes=[TINY], seeds=[3])
    entry = tomllib.loads(path.read_text(encoding="utf-8"))["checkpoints"][0]
    assert entry["tags"] == {"method": 'é "quoted"'}
    assert entry["kwargs"] == {"widths": [784, 10]}
    assert entry["seed"] == 3


@pytest.mark.parametrize("seeds", [[], [0, 0]])
def test_bad_seeds_are_named(tmp_path, seeds):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match="different seeds"):
        build_zoo(tmp_path, seeds=seeds, quick=True)


def test_recipes_are_small():
    """Oracle: the promised sizes, so that Hessian products stay quick on two cores."""
    for recipe in RECIPES:
        assert 15_000 < sum(p.numel() for p in recipe.build(0).parameters()) < 80_000


def test_two_at_a_time_give_the_same_bytes_and_reports(tmp_path):
    """Oracle: the zoo that was built one model after the other."""
    seeds, reports = (0, 1), []
    one = build_zoo(tmp_path / "one", quick=True, recipes=[TINY], seeds=seeds)
    two = build_zoo(
        tmp_path / "two",
        quick=True,
        recipes=[TINY],
        seeds=seeds,
        jobs=2,
        on_progress=lambda *r: reports.append(r[:3]),
    )
    assert two.read_bytes() == one.read_bytes()
    for seed in seeds:
        name = f"checkpoints/mlp-s{seed}.safetensors"
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
        mine = [r for r in reports if r[0] == f"mlp-s{seed}"]
        assert mine == [(f"mlp-s{seed}", epoch, 2) for epoch in (1, 2)]

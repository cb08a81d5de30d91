"""The demo's zoo: a residual network and a vision transformer, trained on real digits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from landscape.errors import InputError
from landscape.reference import data, models
from landscape.reference.demo_run import GROUP as RUN
from landscape.reference.demo_run import run_analyses, train_run
from landscape.reference.training import checkpoints as files
from landscape.reference.training.evaluation import TrainResult
from landscape.reference.training.pool import run_all
from landscape.reference.training.recipe import Recipe, address
from landscape.reference.training.run_recipe import run_recipe
from landscape.text import toml_table

__all__ = ["RECIPES", "build_zoo"]

OnProgress = Callable[[str, int, int, float, float], None]


RECIPES = (
    Recipe(
        group="resnet",
        builder=models.resnet,
        kwargs={"width": 8},
        training={
            "epochs": 7,
            "optimizer": "adamw",
            "lr": 0.01,
            "weight_decay": 0.01,
            "batch_size": 64,
            "schedule": "warmup_cosine",
            "augment": "shift",
        },
        tags={"method": "resnet", "architecture": "convolution"},
    ),
    Recipe(
        group="vit",
        builder=models.vit,
        kwargs={"dim": 48, "depth": 4, "heads": 3, "patch": 7},
        training={
            "epochs": 16,
            "optimizer": "adamw",
            "lr": 0.003,
            "weight_decay": 0.05,
            "batch_size": 64,
            "schedule": "warmup_cosine",
            "augment": "shift",
        },
        tags={"method": "vit", "architecture": "attention"},
    ),
)

PIXELS = {"mean": [0.1307], "std": [0.3081]}  # how the digits are standardised
TRAINING_DIGITS = 4000
QUICK_DIGITS = 320
QUICK_EPOCHS = 2


def build_zoo(
    directory: Path | str,
    *,
    seeds: Sequence[int] = (0, 1),
    quick: bool = False,
    on_progress: OnProgress | None = None,
    recipes: Sequence[Recipe] = RECIPES,
    jobs: int = 1,
    run: bool = False,
) -> Path:
    """Train every recipe with every seed and write the manifest of the zoo.

    Weights go to ``<directory>/checkpoints/<name>.safetensors``, the manifest to
    ``<directory>/zoo.toml``, which is written anew each time. Models that are already finished,
    by the same recipe and data, are kept; a training that was killed continues where it was and
    ends with the same weights. One torch thread is used: the weights then do not depend on the
    caller's number of threads, and two threads waiting for one another on a busy machine took
    ten times as long as one. The weight decay of AdamW is no part of the loss, so the manifest's
    `weight_decay` is 0.

    Args:
        directory: Where to build; made if missing.
        seeds: One model per recipe and seed.
        quick: Train for 2 epochs on 320 digits only: for tests, not for findings.
        on_progress: Called after each epoch, and once for each model that was already finished,
            with (name, epochs done, epochs, mean training loss, held-out accuracy).
        recipes: What to train.
        jobs: Models to train at the same time, each in a process of its own.
        run: Whether ten checkpoints of one more training join them, which are measured by themselves:
            see `landscape.reference.demo_run`.

    Returns:
        The path of the manifest.

    Raises:
        InputError: If there are no seeds, a seed is given twice, or mlxtend is missing.
        CheckpointError: If a file of an earlier run is damaged.
        StoreError: If a file cannot be written.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"build_zoo needs one or more different seeds, not {list(seeds)}.")
    directory = Path(directory)
    calls = [(recipe, seed, directory, quick) for recipe in recipes for seed in seeds]
    results = run_all(_train, calls, jobs=jobs, on_report=on_progress)
    entries = [
        _entry(recipe, seed, result) for (recipe, seed, *_), result in zip(calls, results, strict=True)
    ]
    if run:
        with _one_thread():
            entries += train_run(directory, quick, on_progress or (lambda *said: None))
    manifest = directory / "zoo.toml"
    files.write_atomically(manifest, _manifest(entries, recipes, seeds[0], quick, run).encode())
    return manifest


def _train(recipe: Recipe, seed: int, directory: Path, quick: bool, report: OnProgress) -> TrainResult:
    """Train one model, or go on with it, or find that it is done."""
    name = _name(recipe, seed)
    count = QUICK_DIGITS if quick else None
    changes: dict[str, Any] = {"epochs": QUICK_EPOCHS} if quick else {}
    with _one_thread():
        return run_recipe(
            recipe,
            seed,
            data.digits("train", count),
            data.digits("test", count),
            path=directory / "checkpoints" / f"{name}.safetensors",
            on_epoch=lambda epoch, epochs, loss, accuracy: report(name, epoch, epochs, loss, accuracy),
            **changes,
        )


def _name(recipe: Recipe, seed: int) -> str:
    return f"{recipe.group}-s{seed}"


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _entry(recipe: Recipe, seed: int, result: TrainResult) -> dict[str, Any]:
    name = _name(recipe, seed)
    return {
        "name": name,
        "path": f"checkpoints/{name}.safetensors",
        "builder": recipe.builder_name,
        "kwargs": recipe.kwargs,
        "group": recipe.group,
        "seed": seed,
        "tags": recipe.tags,
        "metrics": result.metrics(),
    }


def _manifest(
    entries: Sequence[Mapping[str, Any]], recipes: Sequence[Recipe], first: int, quick: bool, run: bool
) -> str:
    """The text of zoo.toml; what is costly is done for the first seed, or on fewer examples."""
    attentive = [f"{r.group}-*" for r in recipes if r.tags.get("architecture") == "attention"]
    tables: dict[str, Mapping[str, Any]] = {
        "[data]": {
            "builder": address(data.digits),
            "kwargs": {"split": "train", "count": 64 if quick else 512},
        },
        "[problem]": {"loss": "cross_entropy", "weight_decay": 0.0, "batch_size": 256},
        "[analyses.spectrum]": {"k": 5, "examples": 256},
        "[analyses.density]": {"examples": 64, "probes": 3, "steps": 20},
        "[analyses.structure]": {
            "models": [f"{r.group}-s{first}" for r in recipes],
            "examples": 48,
            "k": 5 if quick else 10,
            "tol": 1e-3,
            "samples": 6,
            "probes": 2,
            "steps": 12,
            "alphas": [0.001, 0.01, 0.1, 1.0, 10.0],
        },
        "[analyses.sharpness]": {
            "models": [f"{r.group}-s{first}" for r in recipes],
            "examples": 48,
            "radii": [0.1, 0.2, 0.5],
            "ascent_steps": 3,
            "sigmas": [0.02, 0.05, 0.1],
            "samples": 4 if quick else 12,
            "max_products": 16 if quick else 60,
        },
        "[analyses.llc]": {
            "models": [f"{r.group}-s{first}" for r in recipes],
            "examples": 64 if quick else 128,
            "chains": 2 if quick else 3,
            "burn_in": 4 if quick else 100,
            "samples": 8 if quick else 100,
            "step_factors": [1.0],
        },
        "[analyses.batch_spectra]": {"fraction": 0.1 if quick else 0.15, "search": False},
        "[analyses.line]": {"steps": 21},
        "[analyses.surface]": {
            "models": [f"{r.group}-s{first}" for r in recipes],
            "examples": 64,
            **({"evaluations": 60} if quick else {}),
        },
        "[analyses.fourier]": {},
        "[analyses.transfer]": {},
        **({"[analyses.attention_response]": {"models": attentive}} if attentive else {}),
        "[analyses.feature_variance]": {},
        "[analyses.weights]": {},
        "[analyses.collapse]": {},
        "[analyses.intrinsic_dimension]": {"examples": 64 if quick else 256},
        "[analyses.examples]": {},
        "[analyses.lesion]": {"examples": 128},
        "[analyses.cka]": {"together": True, "examples": 256},
        "[analyses.similarity]": {"together": True, "examples": 128, "most_layers": 5},
        "[analyses.calibration]": {},
        "[analyses.uncertainty]": {"examples": 128, "shifts": ["rotation", "gaussian_noise"], **PIXELS},
        "[analyses.diversity]": {"examples": 256},
        "[analyses.frequency_noise]": {"examples": 128, "heat_steps": 5, **PIXELS},
        "[analyses.corruptions]": {"examples": 128, **PIXELS},
        "[analyses.robustness]": {
            "models": [f"{r.group}-s{first}" for r in recipes],
            "images": 16 if quick else 64,
            "steps": 5 if quick else 10,
            "targets": 2,
            **PIXELS,
        },
        "[analyses.input_curvature]": {"images": 16 if quick else 64, **PIXELS},
        "[analyses.input_surface]": {
            "models": [f"{r.group}-s{first}" for r in recipes],
            "images": 16 if quick else 64,
            "points": 13 if quick else 25,
            "plane": 5 if quick else 9,
            **PIXELS,
        },
    }
    tables |= _connections(recipes, quick)
    if run:  # what is measured of all models is not measured of its checkpoints
        kinds = [f"{r.group}-*" for r in recipes]
        measured = {k: {"models": kinds, **t} for k, t in tables.items() if k.startswith("[analyses.")}
        late = {k: measured.pop(k) for k in list(measured)[list(measured).index("[analyses.fourier]") :]}
        tables = {k: t for k, t in tables.items() if k not in {*measured, *late}}
        tables |= measured | run_analyses(quick) | late
    sections = ['name = "landscape demo"', *(toml_table(*item) for item in tables.items())]
    sections += [toml_table("[[checkpoints]]", entry) for entry in entries]
    predictives = [*_ensembles(entries), _laplace(recipes[0], first, quick)]
    sections += [toml_table("[[predictives]]", entry) for entry in predictives]
    return "\n\n".join(sections) + "\n"


def _ensembles(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The average of all seeds of each recipe that has several."""
    members = Counter(entry["group"] for entry in entries)
    return [
        {
            "name": f"{group}-ensemble",
            "builder": "landscape.reference.uncertainty:DeepEnsemble",
            "members": group,
        }
        for group, count in members.items()
        if count > 1 and group != RUN
    ]


def _laplace(recipe: Recipe, seed: int, quick: bool) -> dict[str, Any]:
    """The Laplace posterior of the last layer of one model, on the examples that it was trained on."""
    return {
        "name": f"{recipe.group}-laplace",
        "builder": "landscape.reference.uncertainty:linearised_laplace",
        "members": _name(recipe, seed),
        "fit": {"kwargs": {"split": "train", "count": QUICK_DIGITS if quick else TRAINING_DIGITS}},
    }


def _connections(recipes: Sequence[Recipe], quick: bool) -> dict[str, Mapping[str, Any]]:
    """The lines between all models, and a trained curve between those of the first recipe."""
    test = {
        "test": address(data.digits),
        "test_kwargs": {"split": "test", "count": 64 if quick else 256},
    }
    return {
        "[analyses.connectivity]": {"together": True, "examples": 256, "steps": 7, "refine": 1, **test},
        "[analyses.merging]": {"models": [f"{r.group}-*" for r in recipes], "examples": 128, **test},
        "[analyses.connect]": {
            "models": [f"{recipes[0].group}-*"],
            "examples": 256,
            "method": "bezier",
            "align": "weights",
            "epochs": 2 if quick else 16,
            "lr": 0.03,
            "steps": 7,
            "refine": 1,
            "plane": 5 if quick else 7,
            **test,
        },
    }

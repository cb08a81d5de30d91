"""Local and global structure of loss landscapes over load and temperature (Yang et al., NeurIPS 2021).

    python analysis_scripts/taxonomy.py [--quick | --full]

Trains residual networks of many widths with many batch sizes, and with several shares of random labels;
measures each cell as the paper does; sorts the cells into phases with `landscape.taxonomy`; and says which
of the paper's findings hold. Run it again to go on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

import landscape
from landscape.reference import models
from landscape.reference.training.recipe import Recipe
from landscape.studies.claims import above, jackknife
from landscape.studies.options import Options, options, run
from landscape.studies.study import Data, Study, Trained, mixed
from landscape.zoo.spec import Builder, SectionSpec

PAPER = "Yang et al. 2021"
PICTURES = (
    "phases",
    "plane",
    "correlations",
    "phase_accuracy",
    "log_top_eigenvalue",
    "mode_connectivity",
    "cka",
)
CORRELATED = {
    "|mode_connectivity|": ("falls with the size of the mode connectivity", -1),
    "cka": ("rises with the CKA of outputs", 1),
    "log_top_eigenvalue": ("falls with the top Hessian eigenvalue", -1),
    "log_trace": ("falls with the Hessian trace", -1),
}

OF_PAIRS = ("mode_connectivity", "cka", "l2_distance")  # measured on seeds i and i + 1
RESAMPLES = 4000


@dataclass(frozen=True)
class Setting:
    """How large the study is.

    Attributes:
        widths: Load-like parameter of the first grid.
        batches: Batch sizes: temperature-like parameter of the first grid.
        noise_widths: Load-like parameter of the second grid.
        noises: Shares of random labels: temperature-like parameter of the second grid.
        noise_batch: Batch size of the second grid.
        training: Of every model, but for the batch size.
        curve_epochs: Epochs of a Bézier curve.
        blocks: Residual blocks of each stage.
        images: Examples for training and for testing, and the side of the images, of digits.
    """

    widths: tuple[int, ...]
    batches: tuple[int, ...]
    noise_widths: tuple[int, ...]
    noises: tuple[float, ...]
    noise_batch: int
    training: Mapping[str, Any]
    curve_epochs: int
    blocks: tuple[int, ...] = (1, 1)
    images: tuple[int, int, int] = (1000, 1000, 14)


def training(epochs: int, lr: float) -> dict[str, Any]:
    """SGD at a constant rate, so that the batch size acts as a temperature to the end."""
    return {"epochs": epochs, "optimizer": "sgd", "lr": lr, "weight_decay": 5e-4, "schedule": "constant"}


SETTINGS = {
    "quick": Setting((2, 6), (8, 64), (2, 6), (0.0, 0.5), 16, training(8, 0.05), 5, images=(200, 200, 14)),
    "default": Setting(
        (1, 2, 4, 8, 16, 24),
        (8, 16, 32, 64, 128),
        (2, 4, 8, 16),
        (0.0, 0.25, 0.5),
        32,
        training(60, 0.1),
        50,
        images=(500, 1000, 14),
    ),
    "full": Setting(
        (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128),
        (16, 19, 24, 27, 32, 44, 64, 92, 128, 180, 256, 364, 512, 724, 1024),
        (1, 2, 4, 8, 16, 32, 64, 128),
        (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
        128,
        training(150, 0.05),
        50,
        blocks=(2, 2, 2, 2),
    ),
}


def main() -> None:
    """Run the study."""
    study = Study("taxonomy", options("taxonomy", __doc__.splitlines()[0], least=3))
    setting = SETTINGS[study.options.size]
    batch_size(study, setting)
    label_noise(study, setting)
    study.finish()


def batch_size(study: Study, setting: Setting) -> None:
    """The grid of width and batch size."""
    data = examples(study.options, setting, 0.0)
    recipes = [recipe(study.options, setting, w, b) for w in setting.widths for b in setting.batches]
    found = measure(study, "batch", recipes, data, setting)
    rows = [row | {"temperature": row["batch_size"]} for row in found]
    conclude(study, "batch", rows, "batch_size", "width and batch size")


def label_noise(study: Study, setting: Setting) -> None:
    """The grid of width and label noise: a zoo for each share of noise, since the data differ."""
    rows = []
    for noise in setting.noises:
        data = examples(study.options, setting, noise)
        recipes = [recipe(study.options, setting, w, setting.noise_batch) for w in setting.noise_widths]
        found = measure(study, f"noise-{noise:g}", recipes, data, setting)
        rows += [row | {"temperature": noise} for row in found]
    conclude(study, "noise", rows, "label_noise", "width and label noise")


def examples(o: Options, setting: Setting, noise: float) -> Data:
    """Digits, or CIFAR-10; with noise, some labels of the training examples are random."""
    if o.size == "full":
        return Data.cifar(10, o.data, noise)
    return Data.digits(*setting.images, noise)


def recipe(o: Options, setting: Setting, width: int, batch: int) -> Recipe:
    """A residual network of a width, trained with a batch size."""
    kwargs = {"width": width, "blocks": list(setting.blocks)}
    kwargs |= {"in_channels": 3} if o.size == "full" else {}
    return Recipe(
        group=f"w{width}-b{batch}",
        builder=models.resnet,
        kwargs=kwargs,
        training={**setting.training, "batch_size": batch},
        tags={"width": str(width), "batch_size": str(batch)},
    )


def measure(
    study: Study, label: str, recipes: Sequence[Recipe], data: Data, setting: Setting
) -> list[dict[str, float]]:
    """Train the models of a grid and measure them: one row for each cell and replicate.

    Replicate i takes seed i and the pair of seeds i and i + 1.
    """
    trained = study.train(recipes, data, label)
    # As in the paper: 200 training examples, no weight decay.
    local = [
        SectionSpec("spectrum", "spectrum", {"k": 1, "which": "LA", "tol": 1e-2}, examples=200),
        SectionSpec("trace", "trace", {"rel_se": 0.05, "max_products": 200}, examples=200),
        SectionSpec(
            "connect",
            "connect",
            {
                "method": "bezier",
                "epochs": setting.curve_epochs,
                "steps": 9,
                "refine": 1,
                "resamples": 100,
                "weight_decay": setting.training["weight_decay"],
            },
        ),
    ]
    results = study.analyse(label, trained, data.train, local)
    blend = Builder(f"{mixed.__module__}:{mixed.__name__}", {**_reference(data.train)})
    alike = [
        SectionSpec("cka", "cka", {"layers": ("head",)}, examples=1000),
        SectionSpec("similarity", "similarity", {"layers": ("head",), "sample": 64}, examples=64),
    ]
    results |= study.analyse(f"{label}-mixup", trained, blend, alike)
    return [
        row
        for part in recipes
        for row in cell([m for m in trained if m.recipe.group == part.group], part, results)
    ]


def _reference(data: Builder) -> dict[str, Any]:
    return {"reference": data.reference, "kwargs": dict(data.kwargs)}


def cell(
    members: Sequence[Trained], recipe: Recipe, results: Mapping[str, Mapping[str, xr.Dataset]]
) -> list[dict[str, float]]:
    """The rows of one cell, one for each replicate; NaN where an analysis failed."""
    group, n = recipe.group, len(members)
    pairs = {
        frozenset(name.split(" ~ ")): ds
        for name, ds in results["connect"].items()
        if name.startswith(f"{group}-s")
    }
    rows = []
    for i, model in enumerate(members):
        other = members[(i + 1) % n]
        curve = pairs.get(frozenset({model.name, other.name}))
        rows.append(
            {
                "replicate": float(i),
                "load": float(recipe.tags["width"]),
                "batch_size": float(recipe.tags["batch_size"]),
                "training_loss": model.result.train_loss,
                "test_accuracy": 100 * model.result.test_accuracy,
                "top_eigenvalue": _number(results["spectrum"].get(model.name), "eigenvalues"),
                "trace": _number(results["trace"].get(model.name), "trace"),
                "mode_connectivity": _connectivity(curve),
                "cka": _between(results["cka"].get(group), "output_cka", model, other),
                "l2_distance": _between(results["similarity"].get(group), "weight_distance", model, other),
            }
        )
    return rows


def _number(ds: xr.Dataset | None, name: str) -> float:
    return float("nan") if ds is None else float(ds[name].values.max())


def _connectivity(ds: xr.Dataset | None) -> float:
    """Mode connectivity of the trained curve, on the training error in percent."""
    if ds is None:
        return float("nan")
    part = ds["mode_connectivity"].sel(path="bezier", split="train", quantity="error")
    return float(part)


def _between(ds: xr.Dataset | None, name: str, a: Trained, b: Trained) -> float:
    return float("nan") if ds is None else float(ds[name].sel(model=a.name, other=b.name))


def conclude(study: Study, name: str, rows: list[dict[str, float]], axis: str, what: str) -> None:
    """Phases of the grid, its pictures, and how the paper's findings fare.

    A finding has to hold beyond the cells that happen to be in the grid (bootstrap over cells) and beyond the
    seeds that happen to be trained (jackknife over seeds, each of which is in two pairs).
    """
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    columns["width"], columns[axis] = columns.pop("load"), columns.pop("temperature")
    names = {"load": "width", "temperature": axis}
    ds = landscape.taxonomy(columns, columns=names)
    study.save(ds, what)
    study.draw(ds, *PICTURES, tag=name)
    seeds = range(len(study.options.seeds))
    others = [landscape.taxonomy(without(columns, seed), columns=names) for seed in seeds]
    for metric, (text, sign) in CORRELATED.items():
        rho, low, high, cells = (
            ds[key].sel(metric=metric).item()
            for key in ("spearman", "spearman_low", "spearman_high", "spearman_cells")
        )
        without_one = [float(part["spearman"].sel(metric=metric)) for part in others]
        study.judge(
            above(
                f"test accuracy {text}, over {what}",
                PAPER,
                sign * jackknife(rho, without_one),
                unit="Spearman's ρ, signed as claimed",
                note=f"{cells} cells; bootstrap over cells",
                bootstrap=(sign * low, sign * high) if sign > 0 else (-high, -low),
            )
        )
    phase = dict(zip(_places(ds), ds["phase"].values.tolist(), strict=True))
    counts = zip(ds["kind"].values, ds["phase_cells"].values, strict=True)
    study.judge(
        above(
            f"cells of phase IV-B generalise best, over {what}",
            PAPER,
            jackknife(lead(ds, phase), [lead(part, phase) for part in others]),
            unit="points of test accuracy",
            note="IV-B, of two cells or more, less the best other phase; bootstrap over cells; cells: "
            + ", ".join(f"{kind} {int(n)}" for kind, n in counts),
            bootstrap=lead_interval(ds, phase),
        )
    )


def without(columns: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """The table without a seed: without its rows, and without the pair metrics of pairs it is in."""
    kept = columns["replicate"] != seed
    other = (columns["replicate"] + 1) % len(np.unique(columns["replicate"]))
    left = {key: values[kept].copy() for key, values in columns.items()}
    for key in OF_PAIRS:
        left[key][other[kept] == seed] = np.nan
    return left


def _places(ds: xr.Dataset) -> list[tuple[float, float]]:
    return list(zip(ds["load"].values.tolist(), ds["temperature"].values.tolist(), strict=True))


def _by_phase(ds: xr.Dataset, phase: Mapping[tuple[float, float], str]) -> dict[str, np.ndarray]:
    names = np.array([phase[place] for place in _places(ds)])
    return {name: ds["test_accuracy"].values[names == name] for name in set(names.tolist()) - {""}}


def lead(ds: xr.Dataset, phase: Mapping[tuple[float, float], str]) -> float:
    """Mean accuracy of IV-B less that of the best other phase; NaN without two cells, or others."""
    accuracy = _by_phase(ds, phase)
    best = accuracy.pop("IV-B", np.empty(0))
    if len(best) < 2 or not accuracy:
        return float("nan")
    return float(best.mean() - max(values.mean() for values in accuracy.values()))


def lead_interval(ds: xr.Dataset, phase: Mapping[tuple[float, float], str]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `lead`, over the cells of each phase."""
    accuracy = _by_phase(ds, phase)
    best = accuracy.pop("IV-B", np.empty(0))
    if len(best) < 2 or not accuracy:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)

    def means(values: np.ndarray) -> np.ndarray:
        return values[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)

    draws = means(best) - np.max([means(values) for values in accuracy.values()], axis=0)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    run(main)

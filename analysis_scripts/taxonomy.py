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
from _study import Data, Options, Study, Trained, mixed, options

import landscape
from landscape.reference import models
from landscape.reference.claims import above
from landscape.reference.zoo import Recipe
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
    study = Study("taxonomy", options("taxonomy", __doc__.splitlines()[0]))
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
    """Phases of the grid, its pictures, and how the paper's findings fare in each replicate."""
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    columns["width"], columns[axis] = columns.pop("load"), columns.pop("temperature")
    names = {"load": "width", "temperature": axis}
    ds = landscape.taxonomy(columns, columns=names)
    study.save(ds, what)
    study.draw(ds, *PICTURES, tag=name)
    replicates = [
        landscape.taxonomy({k: v[columns["replicate"] == r] for k, v in columns.items()}, columns=names)
        for r in np.unique(columns["replicate"])
    ]
    for metric, (text, sign) in CORRELATED.items():
        rho = np.array([float(part["spearman"].sel(metric=metric)) for part in replicates])
        study.judge(
            above(
                f"test accuracy {text}, over {what}",
                PAPER,
                sign * rho,
                unit="× Spearman's ρ",
                note=f"over cells and seeds together: ρ = {float(ds['spearman'].sel(metric=metric)):.2f}",
            )
        )
    phase = dict(zip(_places(ds), ds["phase"].values.tolist(), strict=True))
    study.judge(
        above(
            f"cells of phase IV-B generalise best, over {what}",
            PAPER,
            [_lead(part, phase) for part in replicates],
            unit="points of test accuracy",
            note="IV-B less the best other phase; cells by phase: "
            + ", ".join(
                f"{k} {int(n)}" for k, n in zip(ds["kind"].values, ds["phase_cells"].values, strict=True)
            ),
        )
    )


def _places(ds: xr.Dataset) -> list[tuple[float, float]]:
    return list(zip(ds["load"].values.tolist(), ds["temperature"].values.tolist(), strict=True))


def _lead(part: xr.Dataset, phase: Mapping[tuple[float, float], str]) -> float:
    """Mean accuracy of IV-B less that of the best other phase; NaN without cells to compare."""
    accuracy = part["test_accuracy"].values
    names = np.array([phase[place] for place in _places(part)])
    means = {name: accuracy[names == name].mean() for name in set(names.tolist()) - {""}}
    best = means.pop("IV-B", float("nan"))
    return best - max(means.values(), default=float("nan"))


if __name__ == "__main__":
    main()

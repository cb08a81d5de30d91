"""``cka``: centred kernel alignment between all layers of all models of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.matrix_figure import dendrogram, matrix
from landscape.analyses._shared.options import PrefixTokens
from landscape.analyses.similarity._options import (
    COORDS,
    LEFT_OUT,
    Layers,
    MostLayers,
    Pairing,
    Spatial,
    Tokens,
)
from landscape.analyses.similarity._to_the_end import to_the_end
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import ColorAxis, FigureSpec
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

MOST_BLOCKS = 12  # models of which every pair can be chosen


class CkaParams(Params):
    """Options of ``cka``."""

    layers: Layers = ()
    most_layers: MostLayers = 32
    batch_size: int = Field(64, ge=8, description="largest number of examples in a Gram matrix")
    estimator: Literal["unbiased", "biased"] = Field(
        "unbiased", description="HSIC₁ (does not depend on the batch size) or HSIC₀ (grows as batches shrink)"
    )
    kernel: Literal["linear", "rbf"] = Field("linear", description="similarity of two examples in a layer")
    bandwidth: float = Field(
        1.0, gt=0.0, description="σ of the RBF kernel as a multiple of the median distance in the batch"
    )
    tokens: Tokens = "flatten"
    spatial: Spatial = "flatten"
    prefix_tokens: PrefixTokens = None
    pairing: Pairing = "inputs"
    seed: int = Field(0, ge=0, description="seed of the order in which examples form batches")


SCHEMA = Schema(
    version=2,
    coords=COORDS,
    variables=(
        Variable("cka", ("unit_a", "unit_b"), "centred kernel alignment of two layers"),
        Variable("cka_se", ("unit_a", "unit_b"), "standard error of cka: jackknife over batches"),
        Variable("output_cka", ("model", "other"), "centred kernel alignment of the models' outputs"),
        Variable("output_cka_se", ("model", "other"), "standard error of output_cka"),
        Variable("matched_cka", ("model", "other"), "mean of cka over layers of the same name that vary"),
        Variable("matched_layers", ("model", "other"), "layers of the same name that vary", kind="int"),
        Variable("batches", (), "batches that HSIC was summed over", kind="int"),
        Variable(
            "interval_factor",
            (),
            "standard errors on either side that make a 95 % interval: Student's of few batches",
            optional=True,
        ),
        Variable("examples", (), "number of examples", kind="int"),
        LEFT_OUT,
    ),
)


def compute(problems: Mapping[str, Problem], params: CkaParams, context: Context) -> Mapping[str, Any]:
    """One pass over the examples for all models; then the ratio and its jackknife."""
    from landscape.core.similarity.cka import Kernel, jackknife
    from landscape.core.similarity.layer_choice import describe_left_out
    from landscape.core.similarity.layer_names import without_wrappers
    from landscape.core.similarity.zoo_pass import FeatureRows, zoo_hsic

    sums = zoo_hsic(
        problems,
        layers=params.layers,
        most_layers=params.most_layers,
        batch_size=params.batch_size,
        estimator=params.estimator,
        kernel=Kernel(params.kernel, params.bandwidth),
        policy=FeatureRows(params.tokens, params.spatial, params.prefix_tokens),
        seed=params.seed,
        pairing=params.pairing,
        progress=context.progress,
    )
    cka, se = jackknife(sums.blocks)
    count, names = len(sums.units), list(problems)
    models = np.array([model for model, _ in sums.units])
    layers = np.array([layer for _, layer in sums.units])
    plain = layers.astype(object)  # a model within DataParallel has the layers of the model
    for name in names:
        plain[models == name] = without_wrappers(list(layers[models == name]))
    outputs = np.ix_(sums.outputs, sums.outputs)
    matched, shared = np.full((len(names), len(names)), np.nan), np.zeros((len(names), len(names)), int)
    # One dead layer must not take the mean of all others with it; one that is NaN has something to say.
    dead = np.diagonal(sums.blocks.sum(0))[:count] <= 0
    vary = ~dead[:, None] & ~dead
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            pairs = (models[:, None] == one) & (models == two) & (plain[:, None] == plain) & vary
            shared[i, j] = pairs.sum()
            if shared[i, j]:
                matched[i, j] = cka[:count, :count][pairs].mean()
    units = np.array([f"{model}: {layer}" for model, layer in sums.units])
    return {
        "unit_a": units,
        "unit_b": units,
        "model_a": models,
        "model_b": models,
        "layer_a": layers,
        "layer_b": layers,
        "model": np.array(names),
        "other": np.array(names),
        "cka": cka[:count, :count],
        "interval_factor": reach(len(sums.blocks)),
        "cka_se": se[:count, :count],
        "output_cka": cka[outputs],
        "output_cka_se": se[outputs],
        "matched_cka": matched,
        "matched_layers": shared,
        "batches": sums.batches,
        "examples": next(iter(problems.values())).examples,
        **({"notice": notice} if (notice := describe_left_out(sums.left_out)) else {}),
    }


def block(ds: xr.Dataset, a: str, b: str | None = None) -> xr.Dataset:
    """The part of a ``cka`` result about two models: ``cka`` and ``cka_se`` over (layer_a, layer_b).

    Args:
        ds: A result of ``cka``.
        a: Name of the first model.
        b: Name of the second; default: the first again.

    Raises:
        InputError: If the result holds no such model.
    """
    names = [str(name) for name in ds["model"].values]
    b = a if b is None else b
    for name in (a, b):
        if name not in names:
            raise InputError(f"there is no model '{name}' in this result; {suggest(name, names)}")
    part = ds[["cka", "cka_se"]].isel(
        unit_a=np.flatnonzero(ds["model_a"].values == a), unit_b=np.flatnonzero(ds["model_b"].values == b)
    )
    part = part.swap_dims(unit_a="layer_a", unit_b="layer_b")
    return part.drop_vars(["unit_a", "unit_b", "model_a", "model_b"])


COLOR = ColorAxis("CKA", limits=(0.0, 1.0))


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Layers against layers: all, within each model, between models; models against models; the tree."""
    figures: list[FigureSpec] = []
    for index, (label, ds) in enumerate(datasets.items()):
        note = _note(ds)
        names = [str(name) for name in ds["model"].values]
        figures += [_everything(index, label, ds, names, note), *_blocks(index, label, ds, names, note)]
        value = ds["output_cka"].values
        figures.append(
            matrix(
                f"models_{index}",
                f"CKA of the models' outputs: {label}",
                ("model", names),
                ("model", names),
                value,
                COLOR,
                f"Every model's output against every other's. {note}",
            )
        )
        tree = dendrogram(
            f"tree_{index}",
            f"Tree of models by the CKA of their outputs: {label}",
            names,
            1.0 - value,
            "1 − CKA",
            "1",
            f"Average linkage of the distance 1 − CKA of outputs; models join at their distance. {note}",
        )
        figures += [tree] if tree is not None else []
        figures += to_the_end(index, label, ds, note)
    return figures


def _reach(ds: xr.Dataset) -> float:
    """Standard errors in a 95 % interval; two in results that do not say."""
    return float(ds["interval_factor"]) if "interval_factor" in ds else 2.0


def _note(ds: xr.Dataset) -> str:
    import json

    options = json.loads(ds.attrs["parameters"])
    se = ds["cka_se"].values
    half = _reach(ds) * float(np.nanmedian(se)) if np.isfinite(se).any() else np.nan
    error = f"; 95 % interval ± {half:.2g} in the median" if np.isfinite(half) else ""
    return (
        f"{options['estimator'].capitalize()} {options['kernel']} CKA on {int(ds['examples'])} examples in"
        f" {int(ds['batches'])} batches, HSIC summed before the ratio{error}. Tokens: {options['tokens']};"
        f" maps: {options['spatial']}."
    )


def _everything(index: int, label: str, ds: xr.Dataset, names: list[str], note: str) -> FigureSpec:
    units = [str(u) for u in ds["unit_a"].values]
    models = ds["model_a"].values
    borders = [i + 0.5 for i, (a, b) in enumerate(pairwise(models)) if a != b]
    return matrix(
        f"layers_{index}",
        f"CKA of all layers: {label}",
        ("layer", units),
        ("layer", units),
        ds["cka"].values,
        COLOR,
        f"Every layer of {len(names)} models against every other, in firing order; lines part the models."
        f" {note}",
        borders,
    )


def _blocks(index: int, label: str, ds: xr.Dataset, names: list[str], note: str) -> list[FigureSpec]:
    """One figure, with each model within itself and every pair of the first `MOST_BLOCKS` as its others."""
    some = names[:MOST_BLOCKS]
    pairs = [(name, name) for name in some] + list(combinations(some, 2))
    if len(names) > len(some):
        note = f"{note} To be chosen: pairs of the first {len(some)} models."
    figures = []
    for number, (a, b) in enumerate(pairs):
        part = block(ds, a, b)
        what = f"within {a}" if a == b else f"between {a} and {b}"
        figures.append(
            matrix(
                f"block_{index}_{number}",
                f"CKA of layers {what}: {label}",
                (f"layer of {a}", [str(name) for name in part["layer_a"].values]),
                (f"layer of {b}", [str(name) for name in part["layer_b"].values]),
                part["cka"].values,
                COLOR,
                f"Layers in firing order; squares along the diagonal are runs of like layers. {note}",
            )
        )
        figures[-1] = replace(figures[-1], choice=what)
    return [replace(figures[0], others=tuple(figures[1:]))] if figures else []


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How alike the outputs are, and how sure that is."""
    value, se = ds["output_cka"].values, ds["output_cka_se"].values
    above = np.triu_indices(len(value), 1)
    others, half = value[above], _reach(ds) * se[above]
    nothing = float("nan")
    return [
        Metric("models", ds.sizes["model"], "1", "models compared"),
        Metric("layers", ds.sizes["unit_a"], "1", "layers compared, of all models together"),
        Metric(
            "output CKA, mean",
            float(others.mean()) if others.size else nothing,
            "1",
            "mean CKA of outputs over pairs of models",
            finding=True,
            error=float(half[0]) if others.size == 1 else nothing,
        ),
        Metric(
            "output CKA, least",
            float(others.min()) if others.size else nothing,
            "1",
            "CKA of outputs of the least alike pair",
            error=float(half[others.argmin()]) if np.isfinite(others).any() else nothing,
        ),
        Metric(
            "standard error, largest",
            float(se[above].max()) if others.size else nothing,
            "1",
            f"largest standard error of an output CKA; {_reach(ds):.3g} of them are a 95 % interval",
        ),
    ]


cka = Analysis(
    name="cka",
    title="Similarity of layers: centred kernel alignment",
    description=(
        "Centred kernel alignment (Kornblith et al. 2019) of every layer of every model with every other, on"
        " the same examples, in one streaming pass: HSIC₁, unbiased, is summed over batches before the ratio"
        " is taken (Nguyen et al. 2021), so the value does not depend on the batch size. Features are centred"
        " before single-precision products; nothing is clamped, so unlike layers may come out slightly"
        " negative. Standard errors: jackknife over batches (pooled into at most 20 blocks); NaN for a single"
        " batch. Outputs that are not one row per example, such as windows and tables of positions, are left"
        " out, and named in a notice."
    ),
    scope="group",
    params=CkaParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.5),
)

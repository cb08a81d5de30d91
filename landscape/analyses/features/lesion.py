"""``lesion``: what the loss makes of each unit's absence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, error_bars, loss_unit
from landscape.analyses._shared.half_width import half_width
from landscape.analyses._shared.options import PrefixTokens, TokenGrid
from landscape.analyses.features._options import Layers
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Guide, Points, Series, series
from landscape.base.schema import Schema, Variable
from landscape.core.features.unit_kinds import SYMBOL_LEGEND, UnitKind, symbol_key, symbols_of
from landscape.core.stats.intervals import FEW, reach, share_error, standard_error
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Measure, Problem

Replacement = Literal["remove", "identity", "mean", "dc", "lowpass"]

MEANINGS = {
    "remove": "removed (blocks and norm layers pass their input on, other units give zero)",
    "identity": "replaced by its input",
    "mean": "replaced by its mean output over the data",
    "dc": "replaced by its mean over space",
    "lowpass": "ideally low-passed",
}


class LesionParams(Params):
    """Options of ``lesion``."""

    layers: Layers = ("*",)
    kinds: tuple[UnitKind, ...] = Field(
        ("block", "attention", "mlp", "convolution"), description="kinds of units; none = every module"
    )
    heads: bool = Field(False, description="whether to remove single attention heads too, one by one")
    replacements: tuple[Replacement, ...] = Field(
        ("remove", "dc"),
        min_length=1,
        description="what takes a unit's place: remove (blocks and norm layers pass their input on, others"
        " give zero), identity, mean (over the data), dc (mean over space), lowpass",
    )
    cutoff: float = Field(0.25, gt=0.0, description="radial frequency that lowpass keeps, in cycles/pixel")
    prefix_tokens: PrefixTokens = None
    grid: TokenGrid = None


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("unit", ("unit",), "unit, in firing order", "", kind="str"),
        Variable("replacement", ("replacement",), "what takes the unit's place", "", kind="str"),
        Variable("depth", ("unit",), "depth, from 0 (first unit) to 1 (last)"),
        Variable("kind", ("unit",), "kind of the unit", "", kind="str"),
    ),
    variables=(
        Variable("loss", (), "mean loss of the whole model on the data, without weight decay", LOSS_UNIT),
        Variable("accuracy", (), "accuracy of the whole model"),
        Variable("delta_loss", ("unit", "replacement"), "change of the mean loss", LOSS_UNIT),
        Variable(
            "delta_loss_se",
            ("unit", "replacement"),
            "standard error of delta_loss, paired by example",
            LOSS_UNIT,
        ),
        Variable("delta_accuracy", ("unit", "replacement"), "change of the accuracy"),
        Variable(
            "delta_accuracy_se",
            ("unit", "replacement"),
            "standard error of delta_accuracy, paired by example",
        ),
    ),
)


def compute(problem: Problem, params: LesionParams, context: Context) -> dict[str, Any]:
    """One pass to find the units, then one per unit and replacement."""
    from landscape.core.features.lesions import find_sites, lesion, lesion_head
    from landscape.core.features.units import Selection

    selection = Selection(params.layers, params.kinds)
    sites, heads = find_sites(
        problem, selection, params.prefix_tokens, "mean" in params.replacements, params.heads, params.grid
    )
    rows: list[tuple[str, str, list[Any]]] = []
    for name, site in sites.items():
        ways = [
            lesion(problem, site, how, params.cutoff) if site.possible(how) else None
            for how in params.replacements
        ]
        rows.append((name, site.unit.kind, ways))
        count = heads.get(name, 0)
        for head in range(count):
            # A head can be silenced but not replaced: it has no input or maps of its own.
            ways = [
                lesion_head(problem, name, head) if how == "remove" else None for how in params.replacements
            ]
            rows.append((f"{name} head {head}", "head", ways))
    if not rows:
        raise InputError(
            f"{type(problem.module).__name__} has no unit matching {', '.join(params.layers)} of the kinds"
            f" {', '.join(params.kinds) or 'any'} to replace; name other kinds, such as linear, or none for"
            " every module."
        )
    whole = problem.measure()
    found = np.full((4, len(rows), len(params.replacements)), np.nan)
    for i, (_, _, ways) in enumerate(rows):
        for j, way in enumerate(ways):
            if way is not None:
                with way:
                    found[:, i, j] = _changes(problem.measure(), whole)
        context.progress((i + 1) / len(rows))
    return {
        "unit": np.array([name for name, _, _ in rows]),
        "replacement": np.array(params.replacements),
        "depth": np.linspace(0.0, 1.0, len(rows)),
        "kind": np.array([kind for _, kind, _ in rows]),
        "loss": whole.data_loss,
        "accuracy": whole.accuracy,
        "delta_loss": found[0],
        "delta_loss_se": found[1],
        "delta_accuracy": found[2],
        "delta_accuracy_se": found[3],
    }


def _cost(params: LesionParams, problem: Problem | None = None) -> Cost:
    """A pass to find the units, one for the whole model, and one for each unit and replacement."""
    if problem is None:
        return Cost(forwards=2.0 + 20.0 * len(params.replacements))
    from landscape.core.features.lesions import find_sites
    from landscape.core.features.units import Selection

    chosen = Selection(params.layers, params.kinds)
    sites, heads = find_sites(problem, chosen, params.prefix_tokens, False, params.heads, params.grid)
    passes = sum(site.possible(how) for site in sites.values() for how in params.replacements)
    silenced = sum(heads.get(name, 0) for name in sites) if "remove" in params.replacements else 0
    return Cost(forwards=2.0 + passes + silenced)


def _changes(now: Measure, whole: Measure) -> tuple[float, float, float, float]:
    """Changes of loss and accuracy, each with its paired standard error."""
    loss, loss_se = now.data_loss - whole.data_loss, float("nan")
    if now.losses is not None and whole.losses is not None:
        loss, loss_se = _paired(now.spread_losses, whole.spread_losses)
    if now.correct is None or whole.correct is None:
        return loss, loss_se, float("nan"), float("nan")
    return loss, loss_se, *_paired(now.spread_correct, whole.spread_correct, share_error)


def _paired(now: Any, before: Any, error: Callable[[Any], Any] = standard_error) -> tuple[float, float]:
    change = now.double().numpy() - before.double().numpy()
    return float(change.mean()), float(error(change))


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Changes of loss and accuracy by position, a figure per replacement."""
    figures = []
    hows = list(dict.fromkeys(str(h) for ds in datasets.values() for h in ds["replacement"].values))
    for how in hows:
        for key, name, unit in (
            ("delta_loss", "Δ loss", loss_unit(datasets)),
            ("delta_accuracy", "Δ accuracy", ""),
        ):
            marks: list[Any] = [Guide(y=0.0, label="whole model")]
            for label, ds in datasets.items():
                if how in ds["replacement"].values:
                    marks += _points(label, ds.sel(replacement=how), key)
            figures.append(
                FigureSpec(
                    f"{key}_{how}",
                    f"{name} when one unit is {MEANINGS[how].split(' (')[0]}",
                    Axis("depth (0 = first unit, 1 = last)", limits=(-0.03, 1.03)),
                    Axis(name, unit, scale="symlog" if key == "delta_loss" else "linear", linthresh=0.01),
                    tuple(marks),
                    f"{name} on the data when one unit at a time is {MEANINGS[how]}. Kinds: {SYMBOL_LEGEND}.",
                    error_bars([_examples(ds) for ds in datasets.values()], "paired by example", "Bars"),
                    symbols=symbol_key(k for ds in datasets.values() for k in ds["kind"].values),
                )
            )
    return figures


def _examples(ds: xr.Dataset) -> float:
    """How many examples errors are over; many where a result does not say."""
    return float(ds.attrs.get("examples", FEW))


def _points(label: str, ds: xr.Dataset, key: str) -> list[Points]:
    known = np.isfinite(ds[key].values)
    if not known.any():
        return []
    kinds = [str(k) for k in ds["kind"].values[known]]
    texts = tuple(f"{n}: {k}" for n, k in zip(ds["unit"].values[known], kinds, strict=True))
    who: Series = series(label, ds)
    error = reach(_examples(ds)) * ds[f"{key}_se"].values[known]
    symbols = symbols_of(kinds)
    return [Points(ds["depth"].values[known], ds[key].values[known], who, error, texts, symbols)]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The unit that the loss misses most."""
    change = ds["delta_loss"].values[:, 0]
    known = np.isfinite(change)
    worst = int(np.argmax(np.where(known, change, -np.inf)))
    how = str(ds["replacement"].values[0])
    return [
        Metric("units", int(known.sum()), "1", f"units replaced ({how})"),
        Metric(
            "most needed", str(ds["unit"].values[worst]), "1", f"unit of largest Δ loss ({how})", finding=True
        ),
        Metric(
            "largest Δ loss",
            float(change[worst]),
            LOSS_UNIT,
            "what the loss rises by without the unit that is most needed",
            error=half_width(ds, "delta_loss", at=(worst, 0)),
        ),
    ]


lesion = Analysis(
    name="lesion",
    title="Lesions",
    description=(
        "One unit at a time is taken out of the model and the change of loss and accuracy on the data is"
        " measured at its position, with standard errors paired by example. Removing a block means that its"
        " residual branch gives nothing, so it needs a block that keeps the shape; removing an attention,"
        " MLP, convolution or single head means that it gives zero. Milder replacements keep the mean over"
        " the data, the mean over space (dc), or frequencies up to a cutoff (lowpass), and tell which part"
        " of a unit's output is needed. NaN where a replacement makes no sense. A module that runs several"
        " times is replaced each time."
    ),
    scope="checkpoint",
    params=LesionParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)

"""``generalisation``: every number of a table of models against an outcome, after Jiang et al. (2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses.taxonomy.forest import plots
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.schema import Schema, Variable
from landscape.base.table import OUTCOMES, Columns
from landscape.core.stats.rank_association import Association, Design, associate, design_of
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["generalisation"]

FACTS = "model: "
"""How columns of `landscape.table` begin that say what a model is."""

SETTINGS = (
    *("group", "load", "temperature", "width", "depth", "data_fraction", "label_noise"),
    *("batch_size", "learning_rate", "lr", "weight_decay", "dropout"),
)
"""Columns of numbers that are settings unless the caller says which ones are."""

NO_METRIC = ("seed", "model: seed", "model: members")


class GeneralisationParams(Params):
    """Options of ``generalisation``."""

    outcome: str = Field(
        "",
        description="column to be explained, with or without its section; none = the accuracy on held-out"
        " examples, such as test_accuracy",
    )
    settings: tuple[str, ...] = Field(
        (),
        description="columns that say how models were trained; none = those of text, the group and tags of a"
        " zoo, and width, depth, batch_size, lr and the like",
    )
    metrics: tuple[str, ...] = Field(
        ("*",), description="names or patterns of the columns to rank, of those that hold numbers"
    )


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("metric", ("metric",), "what is held against the outcome", "", kind="str"),
        Variable("axis", ("axis",), "setting in which cells differ", "", kind="str"),
    ),
    variables=(
        Variable("outcome", (), "what is to be explained", "", kind="str"),
        Variable("cells", (), "sets of models that differ by their seed alone", kind="int"),
        Variable("tau", ("metric",), "Kendall's rank correlation with the outcome, over all models"),
        Variable("tau_low", ("metric",), "lower end of its interval over cells"),
        Variable("tau_high", ("metric",), "upper end of its interval over cells"),
        Variable("models", ("metric",), "models of which both are known", kind="int"),
        Variable("psi", ("metric",), "granulated τ: mean over settings of τ where it alone differs"),
        Variable("axis_tau", ("metric", "axis"), "mean τ of cells that differ in this setting alone"),
        Variable("worst_error", ("metric",), "share of pairs in wrong order, in the worst environment"),
        Variable("worst", ("metric",), "that environment: a setting and two of its values", "", kind="str"),
    ),
)


def compute(table: Columns, params: GeneralisationParams, context: Context) -> Mapping[str, Any]:
    """Tell settings from numbers, and hold each number against the outcome; the closest comes first."""
    table = _models(table)
    numbers = {name: found for name, values in table.items() if (found := _numbers(values)) is not None}
    outcome = _outcome(numbers, params.outcome)
    settings = _settings(table, numbers, params.settings, outcome)
    names = [n for n in numbers if n not in (*settings, *NO_METRIC, outcome) and _chosen(n, params.metrics)]
    if not names:
        raise InputError(
            f"the table has no column of numbers for metrics {list(params.metrics)} beside its outcome"
            f" {outcome} and its settings ({', '.join(settings) or 'none'}); it has {', '.join(table)}."
        )
    labels = {name.removeprefix(FACTS): _labels(table[name]) for name in settings}
    # Without settings nothing says which models are seeds of one training: each is a cell of its own.
    design = design_of(labels) if labels else Design(np.arange(len(numbers[outcome])), {}, {})
    every: dict[str, Association] = {}
    for n, name in enumerate(names):
        every[name] = associate(numbers[name], numbers[outcome], design)
        context.progress((n + 1) / len(names))
    size = {name: abs(a.tau) if np.isfinite(a.tau) else -1.0 for name, a in every.items()}
    order = sorted(names, key=lambda name: -size[name])
    rows = [every[name] for name in order]
    columns = {
        "tau": [a.tau for a in rows],
        "tau_low": [a.low for a in rows],
        "tau_high": [a.high for a in rows],
        "psi": [a.psi for a in rows],
        "worst_error": [a.worst_error for a in rows],
    }
    axes = list(design.slices())
    by_axis = [[a.by_axis.get(axis, float("nan")) for axis in axes] for a in rows]
    return {
        "metric": np.array(order),
        "axis": np.array(axes, dtype=np.str_),
        "outcome": np.array(outcome),
        "cells": int(design.cells.max()) + 1,
        "models": np.array([a.models for a in rows]),
        "axis_tau": np.array(by_axis, dtype=np.float64).reshape(len(rows), len(axes)),
        "worst": np.array([a.worst for a in rows]),
        **{name: np.array(values, dtype=np.float64) for name, values in columns.items()},
    }


def _models(table: Columns) -> Columns:
    """The rows that are models of their own: a predictive is made of others, and would count them twice."""
    members = _numbers(table["model: members"]) if "model: members" in table else None
    if members is None:
        return table
    alone = ~(members > 0)
    if not alone.any():
        raise InputError(
            "every row of the table is a predictive; generalisation needs rows of single models."
        )
    return {name: np.asarray(values)[alone] for name, values in table.items()}


def _numbers(values: Any) -> NDArray[np.float64] | None:
    """A column as floats, infinities as NaN; ``None`` if it holds words or truth values."""
    values = np.asarray(values)
    known = [v for v in values.tolist() if v is not None]
    if not known or any(isinstance(v, bool) for v in known):
        return None
    try:
        found = np.array([np.nan if v is None else float(v) for v in values.tolist()])
    except (TypeError, ValueError):
        return None
    # An infinity, such as a loss that overflowed, was no measurement; `landscape.findings` has it so too.
    return np.where(np.isfinite(found), found, np.nan)


def _bare(name: str) -> str:
    """A column's name without its section: ``λ max`` of ``spectrum: λ max``."""
    return name.partition(": ")[2] or name


def _outcome(numbers: Mapping[str, Any], wanted: str) -> str:
    if wanted:
        found = [n for n in numbers if wanted in (n, _bare(n))]
        found = [wanted] if wanted in found else found
    else:
        known = (name for name in OUTCOMES if any(_bare(n) == name for n in numbers))
        first = next(known, None)
        found = [n for n in numbers if _bare(n) == first][:1]
    if len(found) == 1:
        return found[0]
    if not wanted:
        raise InputError(
            f"the table has no column {', '.join(OUTCOMES[:-2])} or accuracy; name the column to be explained"
            " with outcome=..."
        )
    hint = f"say which: {', '.join(found)}." if found else suggest(wanted, list(numbers))
    raise InputError(f"outcome '{wanted}' is the name of {len(found) or 'no'} columns of numbers; {hint}")


def _settings(
    table: Columns, numbers: Mapping[str, Any], wanted: Sequence[str], outcome: str
) -> tuple[str, ...]:
    """The columns that say how models were trained, in their order in the table."""
    named = []
    for name in wanted:
        found = [c for c in (name, f"{FACTS}{name}") if c in table]
        if not found:
            raise InputError(f"the table has no column '{name}' for a setting; {suggest(name, list(table))}")
        named.append(found[0])
    facts = [n for n in table if n.startswith(FACTS)]
    guessed = facts or [n for n in table if n in SETTINGS or n not in numbers]
    return tuple(n for n in (named or guessed) if n not in (*NO_METRIC, outcome))


def _labels(values: Any) -> list[Any]:
    """Values of a setting that can be told apart: 8.0 is 8, and what is missing is one value."""
    found: list[Any] = []
    for value in np.asarray(values).tolist():
        if isinstance(value, float):
            found.append(None if np.isnan(value) else int(value) if value.is_integer() else value)
        else:
            found.append(value if isinstance(value, int | str | None) else str(value))
    return found


def _chosen(name: str, patterns: Sequence[str]) -> bool:
    return any(p in (name, _bare(name)) or fnmatchcase(name, p) for p in patterns)


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How many models, and the numbers that go with the outcome most, over all and setting by setting."""
    metrics = [
        Metric("models", int(ds["models"].max()), "1", "models of the table"),
        Metric("cells", int(ds["cells"]), "1", "sets of models that differ by their seed alone"),
    ]
    tau, psi, names = ds["tau"].values, ds["psi"].values, ds["metric"].values
    if np.isfinite(tau).any():
        i = int(np.nanargmax(np.abs(tau)))
        half = float(ds["tau_high"][i] - ds["tau_low"][i]) / 2
        what = f"rank correlation with {ds['outcome'].item()}, the strongest"
        metrics.append(Metric(f"τ, {names[i]}", float(tau[i]), "1", what, finding=True, error=half))
    if np.isfinite(psi).any():
        i = int(np.nanargmax(np.abs(psi)))
        metrics.append(Metric(f"ψ, {names[i]}", float(psi[i]), "1", "granulated τ, the strongest"))
        wrong = float(ds["worst_error"][i])
        metrics.append(Metric(f"sign error, {names[i]}", wrong, "1", "in its worst environment"))
    return metrics


generalisation = Analysis(
    name="generalisation",
    title="What goes with generalisation",
    description=(
        "Every number of a table of models against an outcome such as test accuracy. Kendall's τ over all"
        " models, with a 95 % interval by the jackknife over cells: models of one cell have the same"
        " settings and differ by their seed alone, so that cells are left out, not models. The granulated ψ"
        " of Jiang et al. (2020) is the mean over settings of the τ of cells that differ in this setting"
        " alone: a number that follows one of two settings has ψ = ½ whatever its τ. The sign error in the"
        " worst environment (Dziugaite et al. 2020): of pairs of values of one setting, all others equal,"
        " the pair where most cells are in the order that ψ does not say. Rows are models, columns numbers"
        " and settings; `landscape.table(store)` is such a table. Columns of text, `model: ...` and names"
        " such as width or lr are settings, unless `settings` names them; seeds are neither. Association is"
        " not cause."
    ),
    scope="table",
    params=GeneralisationParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(),
)

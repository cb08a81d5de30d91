"""What a taxonomy computes from a table: cells, thresholds, phases and correlations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.options import BootstrapSeed
from landscape.analyses.taxonomy.phases import (
    PHASES,
    SPLITS,
    find_thresholds,
    phases,
    resampled_mean,
    resampled_spearman,
)
from landscape.base.analysis import Context, Metric, Params
from landscape.base.schema import Schema, Variable
from landscape.base.table import Columns
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

NAMES = {
    "load": ("load", "width", "data_fraction", "label_noise"),
    "temperature": ("temperature", "batch_size", "learning_rate", "lr", "weight_decay"),
    "training_loss": ("training_loss", "train_loss"),
    "test_accuracy": ("test_accuracy", "accuracy"),
    "log_top_eigenvalue": ("log_top_eigenvalue", "ln_top_eigenvalue"),
    "log_trace": ("log_trace", "ln_trace"),
    "mode_connectivity": ("mode_connectivity",),
    "cka": ("cka", "cka_softmax", "output_cka"),
    "l2_distance": ("l2_distance",),
}
RAW = {"log_top_eigenvalue": "top_eigenvalue", "log_trace": "trace"}  # taken to the logarithm
REQUIRED = ("load", "temperature", "test_accuracy", "log_top_eigenvalue", "mode_connectivity", "cka")
UNITS = {"sharpness": "1", "connectivity": "percentage points", "similarity": "1"}  # of thresholds
METRICS = tuple(name for name in NAMES if name not in ("load", "temperature", "test_accuracy"))


class TaxonomyParams(Params):
    """Options of ``taxonomy``."""

    sharp: float | None = Field(
        None, description="ln λ_max above which a cell is sharp; none = found from the data"
    )
    connected: float | None = Field(
        None,
        description="mode connectivity, in points of training error, from which a cell is connected; none ="
        " found from the data, at most -1",
    )
    similar: float | None = Field(
        None, description="CKA from which a flat and connected cell is similar; none = found from the data"
    )
    columns: dict[str, str] = Field(
        {}, description="names of the table's columns where they differ from ours, such as load = 'width'"
    )
    resamples: int = Field(1000, ge=100, description="bootstrap resamples of the cells")
    confidence: float = Field(0.95, gt=0.0, lt=1.0, description="level of the intervals")
    seed: BootstrapSeed = 0


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("load", ("cell",), "load-like parameter of the cell", ""),
        Variable("temperature", ("cell",), "temperature-like parameter of the cell", ""),
        Variable("metric", ("metric",), "what is correlated with test accuracy", "", kind="str"),
        Variable("kind", ("kind",), "name of a phase", "", kind="str"),
        Variable("split", ("split",), "what a threshold divides", "", kind="str"),
    ),
    variables=(
        Variable("phase", ("cell",), "phase; empty where undecided", "", kind="str"),
        Variable("phase_stability", ("cell",), "share of resamples whose thresholds give the same phase"),
        Variable("rows", ("cell",), "rows of the table averaged", kind="int"),
        Variable("test_accuracy", ("cell",), "test accuracy, in the table's unit", ""),
        Variable("training_loss", ("cell",), "training loss", "nats/example"),
        Variable("log_top_eigenvalue", ("cell",), "ln of the Hessian's top eigenvalue"),
        Variable("log_trace", ("cell",), "ln of the Hessian's trace"),
        Variable("mode_connectivity", ("cell",), "½(E₀+E₁) − E(t*), E training error", "percentage points"),
        Variable("cka", ("cell",), "centred kernel alignment of outputs between seeds"),
        Variable("l2_distance", ("cell",), "Euclidean distance of weights between seeds"),
        Variable("threshold", ("split",), "where phases part: ln λ_max, mode connectivity, CKA", ""),
        Variable("threshold_low", ("split",), "lower end of its bootstrap interval", ""),
        Variable("threshold_high", ("split",), "upper end of its bootstrap interval", ""),
        Variable("threshold_given", ("split",), "whether the caller gave it", kind="bool"),
        Variable("separation", ("split",), "share of the spread about the median that the split removes"),
        Variable("spearman", ("metric",), "Spearman's correlation with test accuracy"),
        Variable("spearman_low", ("metric",), "lower end of its bootstrap interval"),
        Variable("spearman_high", ("metric",), "upper end of its bootstrap interval"),
        Variable("spearman_cells", ("metric",), "cells in which both are known", kind="int"),
        Variable("phase_cells", ("kind",), "cells of the phase", kind="int"),
        Variable("phase_accuracy", ("kind",), "mean test accuracy of the phase", ""),
        Variable("phase_accuracy_low", ("kind",), "lower end of its bootstrap interval", ""),
        Variable("phase_accuracy_high", ("kind",), "upper end of its bootstrap interval", ""),
    ),
)


def compute(table: Columns, params: TaxonomyParams, context: Context) -> Mapping[str, Any]:
    """Read the columns, average rows of one cell, find thresholds, phases and correlations."""
    data = _cells(_read(table, params.columns))
    deciding = data["log_top_eigenvalue"], data["mode_connectivity"], data["cka"]
    given = (params.sharp, params.connected, params.similar)
    rng = np.random.default_rng(params.seed)
    at, separation = find_thresholds(*deciding, given)
    phase = phases(*deciding, at)

    draws, same = [], np.zeros(phase.shape)
    for n in range(params.resamples):
        rows = rng.integers(0, phase.size, phase.size)
        # Thresholds of the resample, but phases of all cells: each must have a name to compare with its own.
        drawn, _ = find_thresholds(deciding[0][rows], deciding[1][rows], deciding[2][rows], given)
        draws.append(drawn.values())
        same += phases(*deciding, drawn) == phase
        context.progress((n + 1) / params.resamples)
    tails = [(1 - params.confidence) / 2, (1 + params.confidence) / 2]
    low, high = (_quantile(np.array(draws), tail) for tail in tails)

    accuracy = data["test_accuracy"]
    metrics = {**{name: data[name] for name in METRICS}, "|mode_connectivity|": np.abs(deciding[1])}
    correlations = [
        resampled_spearman(column, accuracy, params.resamples, params.confidence, rng)
        for column in metrics.values()
    ]
    means = [
        resampled_mean(accuracy[phase == name], params.resamples, params.confidence, rng) for name in PHASES
    ]
    return {
        **data,
        "phase": phase,
        "phase_stability": np.where(phase == "", np.nan, same / params.resamples),
        "split": np.array(SPLITS),
        "threshold": np.array(at.values()),
        "threshold_low": low,
        "threshold_high": high,
        "threshold_given": np.array([value is not None for value in given]),
        "separation": np.array(separation),
        "metric": np.array(list(metrics)),
        **_columns(("spearman", "spearman_low", "spearman_high", "spearman_cells"), correlations),
        "kind": np.array(PHASES),
        "phase_cells": np.array([int((phase == name).sum()) for name in PHASES]),
        **_columns(("phase_accuracy", "phase_accuracy_low", "phase_accuracy_high"), means),
    }


def _columns(names: Sequence[str], rows: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    return {name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def _quantile(draws: NDArray[np.float64], tail: float) -> NDArray[np.float64]:
    """Quantile of each column over its finite draws; NaN if there is none."""
    columns = [column[np.isfinite(column)] for column in draws.T]
    return np.array([np.quantile(c, tail) if c.size else np.nan for c in columns])


def _read(table: Columns, renamed: Mapping[str, str]) -> dict[str, NDArray[np.float64]]:
    """Our columns of a table, as floats; those it lacks are NaN, unless they are required."""
    unknown = sorted(set(renamed) - set(NAMES))
    if unknown:
        raise InputError(f"taxonomy has no column '{unknown[0]}'; {suggest(unknown[0], NAMES)}")
    rows = len(next(iter(table.values())))
    data = {}
    for name, known in NAMES.items():
        wanted = (renamed[name],) if name in renamed else known
        found = [column for column in wanted if column in table]
        raw = RAW.get(name)
        if len(found) > 1:
            raise InputError(
                f"the table has columns {' and '.join(found)}; say which one is the {name}:"
                f" columns={{'{name}': '{found[0]}'}}."
            )
        if found:
            data[name] = _floats(table, found[0])
        elif raw in table and name not in renamed:
            with np.errstate(invalid="ignore", divide="ignore"):
                log = np.log(_floats(table, raw))
            data[name] = np.where(np.isfinite(log), log, np.nan)
        elif name in REQUIRED or name in renamed:
            names = " or ".join((*wanted, *([raw] if raw else [])))
            raise InputError(
                f"the table has no column {names}; it has {', '.join(table)}:"
                f" name the one that is the {name} with columns={{'{name}': ...}}."
            )
        else:
            data[name] = np.full(rows, np.nan)
    return data


def _floats(table: Columns, name: str) -> NDArray[np.float64]:
    try:
        return np.asarray(table[name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"column '{name}' of the table must hold numbers, but {error}.") from error


def _cells(data: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """One entry per cell, in order of load and temperature; rows of one cell (seeds) are averaged."""
    places = np.stack([data["load"], data["temperature"]], axis=1)
    if not np.isfinite(places).all():
        raise InputError("every row of the table needs a finite load and temperature.")
    cells, which, rows = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    # numpy 2.0, alone among its versions, gives it a second axis.
    which = which.ravel()
    out: dict[str, Any] = {"load": cells[:, 0], "temperature": cells[:, 1], "rows": rows}
    for name in (*METRICS, "test_accuracy"):
        known = np.isfinite(data[name])
        total = np.bincount(which[known], weights=data[name][known], minlength=len(cells))
        count = np.bincount(which[known], minlength=len(cells))
        out[name] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return out


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """The best phase, and the strongest correlation with test accuracy."""
    accuracy, rho = ds["phase_accuracy"].values, ds["spearman"].values
    best = str(ds["kind"].values[np.nanargmax(accuracy)]) if np.isfinite(accuracy).any() else ""
    strongest = int(np.nanargmax(np.abs(rho))) if np.isfinite(rho).any() else None
    metrics = [
        Metric("cells", ds.sizes["cell"], "1", "cells of the grid"),
        Metric("best phase", best, "1", "phase of the highest mean test accuracy", finding=True),
    ]
    metrics += [
        Metric(f"threshold, {name}", float(value), UNITS[str(name)], "where phases part")
        for name, value in zip(ds["split"].values, ds["threshold"].values, strict=True)
    ]
    if strongest is not None:
        name = str(ds["metric"].values[strongest])
        metrics.append(
            Metric(f"Spearman, {name}", float(rho[strongest]), "1", "strongest correlation with accuracy")
        )
    return metrics

"""Grids of load and temperature: their cells, sorted into phases, and what papers say of these.

A grid is a table with one row for each cell and replicate; `landscape.taxonomy` sorts cells into phases. A
finding has to hold beyond the cells that happen to be in the grid (bootstrap over cells) and beyond the seeds
that happen to be trained (jackknife over seeds, each of which is in two pairs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import landscape
from landscape.core.stats.bootstrap import draw_rows, percentile_interval
from landscape.studies import effects
from landscape.studies.claims import Claim, above, jackknife
from landscape.studies.measured import Effect, Measured, Part

__all__ = [
    "COLUMNS",
    "PICTURES",
    "BestPhase",
    "Column",
    "Correlation",
    "Grid",
    "Phases",
    "lead",
    "lead_interval",
    "without_seed",
]

Array = NDArray[np.float64]
Places = Mapping[tuple[float, float], str]
"""The phase of each cell, by load and temperature."""

BEST = "IV-B"
RESAMPLES = 4000


@dataclass(frozen=True)
class Column:
    """A number of each cell and replicate.

    Attributes:
        of: Whose results it is read off, as in `landscape.studies.Finding`.
        effect: A number of a result, see `landscape.studies.effects`.
        pair: Whether it is of a pair of models: of replicate i, seeds i and i + 1, the last with the first.
        scale: What it is multiplied by, such as 100 for percent.
    """

    of: str
    effect: Effect
    pair: bool = False
    scale: float = 1.0


COLUMNS: Mapping[str, Column] = {
    "training_loss": Column("training", effects.train_loss),
    "test_accuracy": Column("training", effects.test_accuracy, scale=100),
    "top_eigenvalue": Column("spectrum", effects.top_eigenvalue),
    "trace": Column("trace", effects.trace),
    "mode_connectivity": Column("connect", effects.mode_connectivity, pair=True),
    "cka": Column("cka", effects.between("output_cka"), pair=True),
    "l2_distance": Column("similarity", effects.between("weight_distance"), pair=True),
}
"""What `landscape.taxonomy` asks of a cell, read off the analyses of these names."""

PICTURES = (
    "phases",
    "plane",
    "correlations",
    "phase_accuracy",
    "log_top_eigenvalue",
    "mode_connectivity",
    "cka",
)
"""The figures of `landscape.taxonomy` that show a grid measured by `COLUMNS`."""


@dataclass(frozen=True)
class Phases:
    """A grid as measured.

    Attributes:
        what: What the grid is over, such as ``width and batch size``.
        dataset: The result of `landscape.taxonomy`.
        without: The same without each of the seeds.
    """

    what: str
    dataset: xr.Dataset
    without: Sequence[xr.Dataset]


@dataclass(frozen=True)
class Grid:
    """A grid of cells, each with models of several seeds.

    Attributes:
        name: What findings and figures call it.
        what: What it is over, such as ``width and batch size``.
        load: The tag of a recipe that holds the load-like parameter.
        temperature: The tag that holds the temperature-like parameter.
        columns: What is measured of each cell.
        cohorts: Whose models are its cells.
    """

    name: str
    what: str
    load: str
    temperature: str
    columns: Mapping[str, Column]
    cohorts: tuple[str, ...]

    def measure(self, measured: Measured) -> Phases:
        """Sort the cells into phases, with all seeds and without each."""
        rows = [row for part in measured.named(self.cohorts) for row in self._rows(part)]
        table = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        names = {"load": self.load, "temperature": self.temperature}
        pairs = [name for name, column in self.columns.items() if column.pair]
        seeds = range(len(np.unique(table["replicate"])))
        return Phases(
            self.what,
            landscape.taxonomy(table, columns=names),
            [landscape.taxonomy(without_seed(table, seed, pairs), columns=names) for seed in seeds],
        )

    def _rows(self, part: Part) -> Iterator[dict[str, float]]:
        """One row for each cell and replicate; NaN where an analysis failed."""
        for kind in dict.fromkeys(m.recipe.group for m in part.models):
            members = part.of_kind(kind)
            for i, model in enumerate(members):
                row = {"replicate": float(i)}
                row |= {name: float(value) for name, value in model.recipe.tags.items()}
                for name, column in self.columns.items():
                    if column.pair:
                        other = members[(i + 1) % len(members)]
                        value = part.of_pair(column.of, column.effect, model, other)
                    else:
                        value = part.of_model(column.of, column.effect, model)
                    row[name] = column.scale * value
                yield row


def without_seed(table: Mapping[str, Array], seed: int, pairs: Sequence[str]) -> dict[str, Array]:
    """The table without a seed: without its rows, and without the columns ``pairs`` of pairs it is in."""
    kept = table["replicate"] != seed
    # Pairs form a ring (see `Column`), so that each seed is in two of them.
    other = (table["replicate"] + 1) % len(np.unique(table["replicate"]))
    left = {key: values[kept].copy() for key, values in table.items()}
    for key in pairs:
        left[key][other[kept] == seed] = np.nan
    return left


@dataclass(frozen=True)
class Correlation:
    """The claim that test accuracy rises or falls with a metric, over the cells of a grid.

    Attributes:
        says: Such as ``rises with the CKA of outputs``.
        of: The grid.
        metric: Its name in the result of `landscape.taxonomy`.
        sign: 1 if accuracy is said to rise with it, -1 if to fall.
    """

    says: str
    of: str
    metric: str
    sign: int
    kinds: tuple[str, ...] = ()

    def judge(self, measured: Measured, paper: str) -> Claim:
        """How it fared."""
        phases: Phases = measured.tables[self.of]
        rho, low, high, cells = (
            phases.dataset[key].sel(metric=self.metric).item()
            for key in ("spearman", "spearman_low", "spearman_high", "spearman_cells")
        )
        without = [float(part["spearman"].sel(metric=self.metric)) for part in phases.without]
        return above(
            f"test accuracy {self.says}, over {phases.what}",
            paper,
            self.sign * jackknife(rho, without),
            unit="Spearman's ρ, signed as claimed",
            note=f"{cells} cells; bootstrap over cells",
            bootstrap=(low, high) if self.sign > 0 else (-high, -low),
            level=measured.level,
        )


@dataclass(frozen=True)
class BestPhase:
    """The claim that cells of phase IV-B, flat and well connected with similar models, generalise best.

    Attributes:
        of: The grid.
    """

    of: str
    kinds: tuple[str, ...] = ()

    def judge(self, measured: Measured, paper: str) -> Claim:
        """How it fared."""
        phases: Phases = measured.tables[self.of]
        ds = phases.dataset
        # phases of all seeds: without a seed the thresholds move, and with them what is compared
        phase = dict(zip(_places(ds), ds["phase"].values.tolist(), strict=True))
        counts = zip(ds["kind"].values, ds["phase_cells"].values, strict=True)
        return above(
            f"cells of phase {BEST} generalise best, over {phases.what}",
            paper,
            jackknife(lead(ds, phase), [lead(part, phase) for part in phases.without]),
            unit="points of test accuracy",
            note=f"{BEST}, of two cells or more, less the best other phase; bootstrap over cells; cells: "
            + ", ".join(f"{kind} {int(n)}" for kind, n in counts),
            bootstrap=lead_interval(ds, phase),
            level=measured.level,
        )


def _places(ds: xr.Dataset) -> list[tuple[float, float]]:
    return list(zip(ds["load"].values.tolist(), ds["temperature"].values.tolist(), strict=True))


def _by_phase(ds: xr.Dataset, phase: Places) -> dict[str, Array]:
    names = np.array([phase[place] for place in _places(ds)])
    # sorted: the order of a set of strings differs from run to run, and with it would the resamples
    kinds = sorted(set(names.tolist()) - {""})
    return {name: ds["test_accuracy"].values[names == name] for name in kinds}


def lead(ds: xr.Dataset, phase: Places) -> float:
    """Mean accuracy of phase IV-B less that of the best other phase; NaN without two cells, or others."""
    accuracy = _by_phase(ds, phase)
    best = accuracy.pop(BEST, np.empty(0))
    if len(best) < 2 or not accuracy:
        return float("nan")
    return float(best.mean() - max(values.mean() for values in accuracy.values()))


def lead_interval(ds: xr.Dataset, phase: Places) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `lead`, over the cells of each phase."""
    accuracy = _by_phase(ds, phase)
    best = accuracy.pop(BEST, np.empty(0))
    if len(best) < 2 or not accuracy:
        return float("nan"), float("nan")
    rng = np.random.default_rng(0)

    def means(values: Array) -> Array:
        return np.asarray(values[draw_rows(len(values), RESAMPLES, rng)].mean(axis=1))

    draws = means(best) - np.max([means(values) for values in accuracy.values()], axis=0)
    low, high = percentile_interval(draws)
    return float(low), float(high)

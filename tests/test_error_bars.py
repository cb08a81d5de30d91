"""The error bars of every analysis hold what they are of, as often as the documentation says."""

from __future__ import annotations

import csv

import error_bars
import numpy as np
import pytest
import torch
from error_bars import NOT_COUNTED, ROWS, TABLE, Count, coverage, write_table

import landscape
from landscape.core.stats.intervals import answer_error, reach

LEAST, MOST = 90.0, 98.0


def table():
    """The rows of the table as dicts."""
    with TABLE.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("row", [name for name, row in ROWS.items() if row.quick])
def test_error_bars_hold_the_truth(row):
    """Oracle: the whole population, or the exact matrix; no interval is made of either.

    In forty cases, at least 90 % less three binomial errors.
    """
    for name, count in coverage(row, 40).items():
        least = 0.9 - 3 * (0.95 * 0.05 / len(count.shares)) ** 0.5
        assert count.coverage >= least or name in ROWS[row].apart, (name, count.coverage)


def test_all_numbers_with_an_error_are_counted():
    """Oracle: the schemas of all analyses that are registered."""
    counted = {(line["analysis"], line["number"]) for line in table()}
    for analysis, declared in landscape.analyses().items():
        names = {v.name for v in declared.schema.variables}
        errors = {n.removesuffix("_se") for n in names if n.endswith("_se")}
        errors |= {n.removesuffix("_interval") for n in names if n.endswith("_interval")}
        errors |= {n.removesuffix("_low") for n in names if n.endswith("_low") and f"{n[:-4]}_high" in names}
        missing = {n for n in errors if (analysis, n) not in counted} - set(NOT_COUNTED.get(analysis, {}))
        assert not missing, f"{analysis}: {sorted(missing)}; add them to tests/error_bars.py"


def test_the_table_holds_or_says_why():
    """Oracle: 90 to 98 % of at least 100 cases, the upper end within two errors of so many."""
    for line in table():
        held, error = (float(x) for x in line["held (%)"].split(" ± "))
        assert int(line["cases"]) >= 80, line
        assert LEAST <= held <= MOST + 2 * max(error, 0.5) or line["why"], line
        assert line["why"] == ROWS[line["analysis"]].apart.get(line["number"], ""), line


def test_counts():
    """Oracle: by hand; what is exact or unknown does not count."""
    count = Count()
    count.add([0.0, 0.0], [1.0, 1.0], [0.5, 2.0])
    count.add(0.0, 1.0, 0.5)
    count.add([3.0, np.nan], [3.0, 1.0], [3.0, 0.0])
    assert count.shares == [0.5, 1.0]
    assert count.coverage == 0.75
    assert count.entries == 3
    count.add(1.0, 1.0, 2.0)  # of width 0, and wrong
    assert count.coverage == 0.5


def test_accuracies_near_one_hold_the_truth():
    """Oracle: the population, of which a model gets 98 % right; a third of the samples are all right."""
    x, y = error_bars.population()
    model = error_bars.net(1)
    with torch.no_grad():
        y = model(x).argmax(1)
    wrong = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[: len(y) // 50]
    y[wrong] = (y[wrong] + 1) % 3
    count, saturated = Count(), 0
    for case in range(120):
        rows = error_bars.rows_of(case)
        subject = landscape.Problem(model, "cross_entropy", (x[rows], y[rows]), check_derivatives=False)
        found = subject.measure()
        half = reach(len(rows)) * answer_error(found.correct)
        count.add(found.accuracy - half, found.accuracy + half, 0.98)
        saturated += found.accuracy == 1.0
    assert saturated > 20
    assert count.coverage >= 0.9 - 3 * (0.95 * 0.05 / 120) ** 0.5


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_full_table():
    """Writes docs/reliability.csv anew, in some ten minutes; the oracles are those of the cases."""
    write_table()
    test_the_table_holds_or_says_why()
    assert error_bars.population()[0].shape[0] == error_bars.POPULATION

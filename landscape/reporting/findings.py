"""The first screen: which group does better, in what else they differ, and what goes with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape.export.findings import (
    TRAINING,
    Found,
    ModelTable,
    SummaryOf,
    found_in,
    model_table,
    summary_of,
)
from landscape.export.pairs import BETWEEN, WITHIN, Spread, pair_numbers, spreads
from landscape.export.sentences import plain_name, sentences
from landscape.plotting.scales import number
from landscape.reporting.tables import Cell, Column, Row, Table

if TYPE_CHECKING:
    from landscape.store.contents import Contents

__all__ = ["Choice", "FindingsView", "findings_view"]

_DIGITS = 10
"""Digits of the numbers: a spread is a difference of numbers that may be nearly equal."""


@dataclass(frozen=True)
class Choice:
    """What may be chosen as outcome: its place among the numbers, its name, and its section."""

    place: int
    name: str
    section: str


@dataclass(frozen=True)
class FindingsView:
    """The first screen.

    Attributes:
        sentences: What was found, or why there is nothing to compare.
        json: The numbers of every model, for the page's script; empty if there is nothing to compare.
        outcomes: What may be explained.
        outcome: Which of them is.
        groups: The groups.
        pair: Which two of them are compared.
        pairs: Numbers of pairs of models, within groups and between them; ``None`` if there are none.
    """

    sentences: tuple[str, ...]
    json: str = ""
    outcomes: tuple[Choice, ...] = ()
    outcome: int = 0
    groups: tuple[str, ...] = ()
    pair: tuple[int, int] = (0, 0)
    pairs: Table | None = None


def findings_view(
    contents: Contents, links: Mapping[str, str], summary: SummaryOf = summary_of
) -> FindingsView:
    """Work out the first screen.

    Args:
        contents: The store.
        links: Where the page shows each section, by label.
        summary: Sums up a result of an analysis.
    """
    table = model_table(contents, summary)
    if len(table.kinds) < 2 or not table.metrics:
        return FindingsView((_nothing(table),))
    found = found_in(table)
    kinds = table.kinds
    outcome = table.metrics.index(found.outcome)
    pair = kinds.index(found.groups[0]), kinds.index(found.groups[1])
    plain = {**_plain(table, links), "chosen": [outcome, *pair], "first": _rows(table, found)}
    data = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    outcomes = [Choice(i, plain_name(m.name), m.section) for i, m in enumerate(table.metrics)]
    return FindingsView(sentences(found), data, tuple(outcomes), outcome, kinds, pair, _pairs(contents))


def _pairs(contents: Contents) -> Table | None:
    """How alike models of one group are, and those of two."""
    groups = {m.name: m.group for m in contents.models}
    rows = [(told, spreads(told, groups)) for told in pair_numbers(contents)]
    parts = dict.fromkeys(part for _, spread in rows for part in spread if part != BETWEEN)
    columns = [*parts, *[BETWEEN] * any(BETWEEN in spread for _, spread in rows)]
    if not columns:
        return None
    listed = tuple(
        Row(
            f"{told.section}: {told.name}" + (f" ({told.unit})" if told.unit not in ("", "1") else ""),
            tuple(_spread(spread.get(column)) for column in columns),
        )
        for told, spread in rows
    )
    heads = [c if c in (BETWEEN, WITHIN) else f"within {c}" if c else "without a group" for c in columns]
    return Table(
        "Pairs of models: mean, from the lowest to the highest, number of pairs. Pairs that share a model are"
        " not independent, so that no interval is given.",
        "number of a pair",
        tuple(Column(head) for head in heads),
        listed,
    )


def _spread(spread: Spread | None) -> Cell:
    if spread is None:
        return Cell("–")
    text = number(spread.mean)
    if spread.pairs > 1:
        text += f", {number(spread.low)} to {number(spread.high)}"
    count = f"{spread.pairs} pair{'s' * (spread.pairs > 1)}"
    return Cell(f"{text} ({count})", spread.mean, numeric=True)


def _nothing(table: ModelTable) -> str:
    count = len(table.models)
    if not count or not table.metrics:
        return "No number of a model has been measured yet, so that there is nothing to compare."
    models = f"{count} models" if count > 1 else "one model"
    return (
        f"There is nothing to compare: this zoo has {models}, in one group. Two groups of models, named by"
        ' group = "..." in the manifest, are compared here in every number that was measured.'
    )


def _plain(table: ModelTable, links: Mapping[str, str]) -> dict[str, Any]:
    """What the script needs: no name of a model, and numbers short enough."""
    from scipy.special import stdtrit

    cells = int(table.design.cells.max()) + 1
    kinds = table.kinds
    places = {kind: i for i, kind in enumerate(kinds)}
    sets = [[s.tolist() for s in found] for found in table.design.slices().values()]
    metrics = [
        {
            "section": m.section,
            "name": plain_name(m.name),
            "said": m.said,
            "unit": m.unit,
            "href": links.get(m.section, "summary" if m.section == TRAINING else ""),
            "values": [_number(v) if known else False for v, known in zip(m.values, m.measured, strict=True)],
        }
        for m in table.metrics
    ]
    return {
        "kinds": kinds,
        "groups": [places[g] for g in table.groups],
        "cells": table.design.cells.tolist(),
        "count": cells,
        "sets": sets,
        "reach": [None, None, *_numbers(stdtrit(range(1, cells), 0.975))] if cells > 1 else [None, None],
        "metrics": metrics,
    }


def _rows(table: ModelTable, found: Found) -> list[list[float | int | None]]:
    """What the page opens with: the outcome and every other number, each with its place."""
    places = {id(metric): i for i, metric in enumerate(table.metrics)}
    d = found.difference
    rows = [[places[id(found.outcome)], *_numbers([d.g, d.low, d.high, d.p])]]
    for row in found.rows:
        d, goes = row.difference, row.association
        numbers = [d.g, d.low, d.high, d.p, row.q, goes.tau, goes.low, goes.high, goes.psi]
        rows.append([places[id(row.metric)], *_numbers(numbers)])
    return rows


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [_number(float(v)) for v in values]


def _number(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short

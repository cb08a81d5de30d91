"""Figures that a reader chooses: none of a group or pair is out of reach."""

from __future__ import annotations

import base64
import gzip
import json
from itertools import combinations
from typing import Any

import landscape
from landscape.base.figure import Axis, FigureSpec, Line, Series
from landscape.plotting.palette import Palette
from landscape.reporting import choices
from landscape.reporting.choices import chooser, owners
from landscape.reporting.figures import MOST_FIGURES, draw_section


def unpacked(pack: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(pack)))
    return found


def test_every_group_and_every_pair_within_it_can_be_chosen(similarity: Any) -> None:
    """Oracle: 40 models in 5 groups of 8, counted: 5 groups, and 8 + 8·7/2 figures of layers in each."""
    groups = {f"g{k}": [f"g{k}-s{i}" for i in range(8)] for k in range(5)}
    results = {name: similarity(models) for name, models in groups.items()}
    analysis = landscape.analyses()["cka"]
    drawn = draw_section(analysis, results, "s-cka", Palette(dict.fromkeys(groups, "")), [])
    assert drawn.problems == [] and drawn.left_out == 0 and drawn.chooser is not None
    assert list(drawn.chooser.packs) == list(groups) and drawn.chooser.total == 5
    for name, models in groups.items():
        figures = unpacked(drawn.chooser.packs[name])
        assert all(f["title"].endswith(f": {name}") and f["data"] for f in figures)
        pairs = [f"between {a} and {b}" for a, b in combinations(models, 2)]
        (chosen,) = [f["choices"] for f in figures if "choices" in f]
        assert list(chosen) == [f"within {m}" for m in models] + pairs
        assert chosen[f"between {models[0]} and {models[3]}"]["data"][0]["z"][0][0] == 0.25


def test_more_figures_than_a_section_shows_are_chosen_by_their_model() -> None:
    """Oracle: the names, and that each title is found once."""
    names = ["a", "b: c", "c"]
    line = Line([0, 1], [0, 1], Series("a"))
    specs = [
        FigureSpec(f"f{i}", f"F{i}: {n}", Axis("x"), Axis("y"), (line,))
        for n in names
        for i in range(MOST_FIGURES)
    ]
    assert owners(specs, names)[MOST_FIGURES] == "b: c"
    found = chooser(dict.fromkeys(names, specs[:1]), "s", "model", Palette(), [])
    assert list(found.packs) == names


def test_subjects_beyond_the_budget_are_counted(monkeypatch: Any) -> None:
    """Oracle: a budget below one pack, which the first subject gets all the same."""
    monkeypatch.setattr(choices, "CHOICE_BYTES", 10)
    spec = FigureSpec("f", "F: a", Axis("x"), Axis("y"), (Line([0, 1], [0, 1]),))
    found = chooser({"a": [spec], "b": [spec]}, "s", "pair", Palette(), [])
    assert list(found.packs) == ["a"] and found.total == 2

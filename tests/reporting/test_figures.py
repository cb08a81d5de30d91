"""Figures of the page: ways of comparing, reliefs, failures and the budget of bytes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line, Series
from landscape.errors import InputError
from landscape.plotting.model_groupings import MOST_MODELS, Grouping
from landscape.plotting.palette import Palette
from landscape.reporting import figures
from landscape.reporting.figures import MODELS_WAY, MOST_FIGURES, details, draw_section


def analysis(*specs: FigureSpec, error: Exception | None = None) -> Any:
    """What draws these figures of any results, or fails."""

    def draw(results: object) -> list[FigureSpec]:
        if error is not None:
            raise error
        return list(specs)

    return SimpleNamespace(figures=draw, scope="checkpoint")


def lines(*models: str, title: str = "T") -> FigureSpec:
    marks = tuple(Line([0, 1], [i, i + 1], Series(m)) for i, m in enumerate(models))
    return FigureSpec("f", title, Axis("x"), Axis("y"), marks)


def results(*models: str) -> dict[str, xr.Dataset]:
    return {m: xr.Dataset() for m in models}


def test_a_figure_is_drawn_in_every_way_that_changes_something() -> None:
    """Oracle: two groups of two; a way in which each model is a group of its own changes nothing."""
    names = ("a", "b", "c", "d")
    palette = Palette(dict.fromkeys(names, ""))
    groups = Grouping("group", {"a": "g", "b": "g", "c": "h", "d": "h"}, palette)
    each = Grouping("seed", {n: n for n in names}, palette)
    drawn = draw_section(analysis(lines(*names)), results(*names), "s", palette, [groups, each])
    (view,) = drawn.figures
    assert list(json.loads(view.json)) == [MODELS_WAY, "group"]
    assert view.anchor == "s-0" and not view.relief and drawn.problems == []


def test_a_field_over_a_plane_has_a_relief() -> None:
    """Oracle: contours over at least three rows and columns."""
    z = np.arange(12.0).reshape(3, 4)
    for size, relief in ((3, True), (2, False)):
        mark = Heatmap([0, 1, 2, 3], list(range(size)), z[:size], ColorAxis("z"), contours=True)
        spec = FigureSpec("f", "", Axis("x"), Axis("y"), (mark,))
        (view,) = draw_section(analysis(spec), results("a"), "s", Palette({"a": ""}), []).figures
        assert view.relief == relief


@pytest.mark.parametrize(
    ("error", "text"), [(InputError("one sentence."), "one sentence."), (KeyError("x"), "KeyError: 'x'.")]
)
def test_an_analysis_that_fails_takes_nothing_down(error: Exception, text: str) -> None:
    """Oracle: the sentence of the error."""
    drawn = draw_section(analysis(error=error), results("a"), "s", Palette({"a": ""}), [])
    assert drawn.figures == [] and drawn.problems == [f"The figures could not be made: {text}"]


def test_figures_beyond_the_most_can_be_chosen() -> None:
    """Oracle: the number of figures: those that a section shows, and the others where a reader chooses."""
    specs = [lines("a", "b", title=str(i)) for i in range(MOST_FIGURES + 3)]
    drawn = draw_section(analysis(*specs), results("a", "b"), "s", Palette({"a": "", "b": ""}), [])
    assert len(drawn.figures) == MOST_FIGURES and drawn.left_out == 0
    assert drawn.chooser is not None and list(drawn.chooser.packs) == ["all together"]


def test_details_of_single_models_stop_at_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the sizes of the packs: those that fit, in the given order; few models need none."""
    names = [f"m{i}" for i in range(MOST_MODELS + 1)]
    palette = Palette(dict.fromkeys(names, ""))
    section: Any = SimpleNamespace(results=results(*names))
    arguments = ([section], [analysis(lines("m0"))], ["S"], palette)
    whole = details(*arguments, names, names)
    assert list(whole.packs) == names and whole.total == len(names)
    size = len(whole.packs["m0"])
    monkeypatch.setattr(figures, "DETAILS_BYTES", 3 * size + 1)
    some = details(*arguments, names, names[::-1])
    assert list(some.packs) == names[-3:] and some.total == len(names)
    assert details(*arguments, names[:2], names).packs == {}

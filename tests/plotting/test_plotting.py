"""`landscape.plot`: what it takes, what it returns, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
import xarray as xr

import landscape
from landscape.base.figure import Axis, FigureSpec, Line
from landscape.errors import InputError
from landscape.plotting import Figures

SPEC = FigureSpec("cut", "A cut", Axis("t"), Axis("loss"), (Line([0, 1], [2, 3]),))
OTHER = FigureSpec("other", "Another", Axis("t"), Axis("loss"), ())


def test_one_figure_or_several_are_one_kind_of_thing() -> None:
    """Oracle: the documented return values; one alone has the attributes of the back end's."""
    one = landscape.plot(SPEC, backend="null")
    assert isinstance(one, Figures) and len(one) == 1
    assert one.extents["y"] == (2.0, 3.0)
    both = landscape.plot([SPEC, OTHER], backend="null")
    assert isinstance(both, Figures) and len(both) == 2
    assert both["other"] is both[1]
    with pytest.raises(AttributeError, match="holds 2 figures"):
        _ = both.extents


def test_a_list_of_figures_shows_itself_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a stand-in for the notebook's display, which must see each figure once."""
    seen: list[object] = []
    notebook = types.ModuleType("IPython.display")
    notebook.display = seen.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    both = landscape.plot([SPEC, OTHER], backend="null")
    both._ipython_display_()
    assert seen == list(both)


def test_a_figure_is_chosen_by_name() -> None:
    """Oracle: the title of the figure asked for."""
    assert landscape.plot([SPEC, OTHER], figure="other").layout.title.text == "Another"


@pytest.mark.parametrize(
    ("results", "keywords", "sentence"),
    [
        (SPEC, {"backend": "plotli"}, "did you mean 'plotly'"),
        ([SPEC, OTHER], {"figure": "cat"}, "did you mean 'cut'"),
        (xr.Dataset(), {}, "no attribute 'analysis'"),
        (xr.Dataset(attrs={"analysis": "spectrm"}), {}, "did you mean 'spectrum'"),
        ({}, {}, "nothing to plot"),
        (
            {"a": xr.Dataset(attrs={"analysis": "line"}), "b": xr.Dataset(attrs={"analysis": "spectrum"})},
            {},
            "line and spectrum",
        ),
        (3, {}, "got int"),
        ([SPEC, "x"], {}, "got str"),
        ("x", {}, "got str"),
    ],
)
def test_what_cannot_be_drawn_gets_one_sentence(results: object, keywords: dict, sentence: str) -> None:
    """Oracle: the sentence must name what was wrong or the nearest right name."""
    with pytest.raises(InputError, match=sentence):
        landscape.plot(results, **keywords)


def test_drawing_needs_no_torch() -> None:
    """Oracle: a new interpreter in which importing torch raises."""
    code = """
import sys
import types
sys.modules["torch"] = None
import landscape
from landscape.base.figure import Axis, FigureSpec, Line
spec = FigureSpec("cut", "A cut", Axis("t"), Axis("loss"), (Line([0, 1], [2, 3]),))
landscape.plot(spec), landscape.plot(spec, backend="matplotlib")
for name, analysis in landscape.analyses().items():
    assert callable(analysis.plots)
import landscape.reporting
"""
    subprocess.run([sys.executable, "-c", code], check=True)

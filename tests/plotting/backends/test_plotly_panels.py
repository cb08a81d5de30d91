"""Panels with plotly: where they stand, what is said once, and what a narrow page is told."""

from __future__ import annotations

from typing import Any

import numpy as np

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Heatmap, Line, Series
from landscape.base.panels import side_by_side
from landscape.plotting.backends import plotly, relief
from landscape.plotting.palette import Palette

PLANE = np.add.outer(np.linspace(-1, 1, 5) ** 2, np.linspace(-1, 1, 5) ** 2)


def plane(scale: float) -> FigureSpec:
    x = np.linspace(-1, 1, 5)
    field = Heatmap(x, x, scale * (PLANE + 0.1), ColorAxis("loss"), contours=True)
    return FigureSpec("p", f"m{scale:g}", Axis("a"), Axis("b"), (field,), equal=True)


def cut(label: str = "loss") -> FigureSpec:
    marks = (Line([0, 1], [1, 2], Series("a")), Line([0, 1], [2, 3], Series("b")), Guide(x=0.5))
    return FigureSpec("c", "C", Axis("t"), Axis(label), marks)


def draw(figures: list[FigureSpec]) -> dict[str, Any]:
    spec = side_by_side("s", "S", figures)
    return plotly.draw_plain(spec, Palette.of([spec]))


def test_panels_do_not_overlap_and_fill_the_width() -> None:
    """Oracle: the intervals that the domains are, compared pair by pair."""
    layout = draw([plane(k) for k in range(1, 5)])["layout"]
    boxes = [(layout[f"xaxis{n}"]["domain"], layout[f"yaxis{n}"]["domain"]) for n in ("", "2", "3", "4")]
    for i, (x, y) in enumerate(boxes):
        assert 0 <= x[0] < x[1] <= 1 and 0 <= y[0] < y[1] <= 1
        for u, v in boxes[:i]:
            assert x[0] >= u[1] or u[0] >= x[1] or y[0] >= v[1] or v[0] >= y[1]
    assert {x[1] for x, _ in boxes[1::2]} == {1.0}


def test_one_colour_bar_and_one_entry_of_the_legend() -> None:
    """Oracle: counts by hand."""
    fields = draw([plane(k) for k in range(1, 5)])["data"]
    assert [t["showscale"] for t in fields] == [True, False, False, False]
    assert len({(t["zmin"], t["zmax"]) for t in fields}) == 1
    lines = draw([cut(), cut()])["data"]
    assert [t["name"] for t in lines if t["showlegend"]] == ["a", "b"]


def test_labels_of_shared_axes_stand_at_the_edge() -> None:
    """Oracle: which panels stand at the left and at the bottom, by hand."""
    layout = draw([cut(), cut(), cut("gain")])["layout"]
    assert all("showticklabels" not in layout[f"yaxis{n}"] for n in ("", "2", "3"))  # y is not shared
    layout = draw([cut()] * 5)["layout"]
    hidden = {n for n in ("", "2", "3", "4", "5") if layout[f"xaxis{n}"].get("showticklabels") is False}
    assert hidden == {"", "2"}  # below the third panel stands none
    assert layout["yaxis2"]["showticklabels"] is False and "showticklabels" not in layout["yaxis4"]
    assert [t["x"]["text"] for t in layout["meta"]["panels"]] == ["t"] * 5  # for a page of one column


def test_guides_stay_with_their_panel() -> None:
    """Oracle: the axes that plotly.js names."""
    shapes = draw([cut(), cut()])["layout"]["shapes"]
    assert [(s["xref"], s["yref"]) for s in shapes] == [("x", "y domain"), ("x2", "y2 domain")]


def test_plotly_takes_what_is_drawn() -> None:
    """Oracle: plotly's own checks of every field."""
    for figures in ([plane(1), plane(2)], [cut(), plane(1)], [cut()] * 4):
        spec = side_by_side("s", "S", figures)
        assert len(plotly.draw(spec, Palette.of([spec])).data) > 1


def test_reliefs_stand_side_by_side_with_one_range_of_heights() -> None:
    """Oracle: smallest and largest value of all fields."""
    spec = side_by_side("s", "S", [plane(1), plane(3)])
    drawn = relief.draw_plain(spec, Palette.of([spec]))
    assert [t["scene"] for t in drawn["data"]] == ["scene", "scene2"]
    for name in ("scene", "scene2"):
        np.testing.assert_allclose(drawn["layout"][name]["zaxis"]["range"], [0.1, 3 * 2.1])

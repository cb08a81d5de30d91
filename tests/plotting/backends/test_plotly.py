"""What plotly alone decides: hover texts, escaping, its legend."""

from __future__ import annotations

from typing import Any

import landscape
from landscape.base.figure import (
    Axis,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Points,
    Series,
)
from landscape.plotting.palette import Palette


def spec_of(*drawn: Any, x: Axis | None = None, y: Axis | None = None, **more: Any) -> FigureSpec:
    return FigureSpec("f", "title", x or Axis("x"), y or Axis("y", "nat"), drawn, **more)


def test_symlog_hover_shows_the_true_value() -> None:
    """Oracle: the value given, not its transform, stands in the hover data."""
    spec = spec_of(Line([0, 1], [-20.0, 300.0], Series("a")), y=Axis("λ", scale="symlog"))
    (trace,) = landscape.plot(spec).data
    assert "%{customdata[0]" in trace.hovertemplate
    assert [row[0] for row in trace.customdata] == [-20.0, 300.0]


def test_texts_stay_text() -> None:
    """Oracle: no text reaches plotly with a tag, a formula or a template of its own."""
    evil = "<b>%{x}</b> $a$"
    spec = FigureSpec(
        "f",
        evil,
        Axis(evil, evil),
        Axis(evil, categories=(evil,)),
        (
            Line([0], [0], Series(evil)),
            Points([0], [0], Series("p", label=evil), texts=(evil,)),
            Heatmap([0], [0], [[1.0]], ColorAxis(evil, evil)),
            Guide(x=0, label=evil),
        ),
    )
    figure = landscape.plot(spec).to_plotly_json()
    texts = list(_strings(figure))
    assert sum("&lt;b&gt;" in t for t in texts) >= 8
    assert not any("<b>%{x}" in t or "$a$" in t for t in texts)
    hovers = [trace["hovertemplate"] for trace in figure["data"]]
    assert all("&lt;b&gt;%{x}" not in h for h in hovers)


def _strings(value: Any) -> Any:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def test_few_coloured_lines_keep_their_names() -> None:
    """Oracle: three layers are named in the legend."""
    lines = [Line([0, 1], [i, i], Series("m", label=f"layer {i}"), color_value=i / 2) for i in range(3)]
    figure = landscape.plot(spec_of(*lines))
    assert [t.name for t in figure.data if t.showlegend] == ["layer 0", "layer 1", "layer 2"]


def test_palette_of_the_caller_decides() -> None:
    """Oracle: a zoo in which the model comes third gives it the third hue."""
    palette = Palette({"x": "", "y": "", "a": ""})
    figure = landscape.plot(spec_of(Line([0], [0], Series("a"))), palette=palette)
    assert figure.data[0].line.color == "#009e73"

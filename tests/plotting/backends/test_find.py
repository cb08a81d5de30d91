"""Every figure specification is drawn by every back end, and both show the same data."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import landscape
from landscape.base.figure import (
    DASHES,
    SYMBOLS,
    Axis,
    Bars,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Points,
    Series,
    Stems,
    Violin,
)
from landscape.errors import InputError
from landscape.plotting.palette import Palette
from landscape.plotting.scales import symlog

numbers = st.one_of(
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.floats(-1e-6, 1e-6, allow_subnormal=False),
    st.sampled_from([np.nan, np.inf, -np.inf, 0.0]),
)
words = st.text("ab 1λθ∂·²−<>&$%{}\\\"'_^#;", max_size=12)
series = st.builds(
    Series, st.sampled_from(["", "a", "b", "<b>c</b> $d$"]), st.sampled_from(["", "g"]), st.none() | words
)
scales = st.sampled_from(["linear", "log", "symlog"])
sizes = st.integers(0, 6)


@st.composite
def axes(draw: Any) -> Axis:
    scale = draw(scales)
    limits = draw(st.none() | st.tuples(st.floats(0.01, 1.0), st.floats(1.5, 100.0)))
    categories = None
    if scale == "linear" and draw(st.booleans()):
        categories = tuple(draw(st.lists(words, min_size=1, max_size=4)))
    thresh = draw(st.floats(1e-3, 1e3))
    return Axis(draw(words), draw(words), scale, limits, categories, linthresh=thresh)


def arrays(n: int) -> st.SearchStrategy[list[float]]:
    return st.lists(numbers, min_size=n, max_size=n)


@st.composite
def marks(draw: Any) -> Any:
    kind, n, who = draw(st.sampled_from("lpsbhgv")), draw(sizes), draw(series)
    x, y = draw(arrays(n)), draw(arrays(n))
    error = draw(st.none() | arrays(n).map(lambda v: list(np.abs(v))))
    texts = tuple(draw(st.lists(words, min_size=n, max_size=n))) if draw(st.booleans()) else ()
    if kind == "l":
        band = (draw(arrays(n)), draw(arrays(n))) if draw(st.booleans()) else (None, None)
        style = draw(st.none() | st.sampled_from(DASHES))
        return Line(x, y, who, *band, draw(st.booleans()), style, draw(st.none() | st.floats(0, 1)))
    if kind == "p":
        symbols = tuple(draw(st.lists(st.sampled_from(SYMBOLS), min_size=n, max_size=n)))
        return Points(x, y, who, error, texts, draw(st.sampled_from([(), symbols])))
    if kind == "s":
        return Stems(x, y, who, error, texts)
    if kind == "b":
        return Bars(x, y, who, error)
    if kind == "v":
        return Violin(draw(st.floats(-3, 3)), y, who)
    if kind == "g":
        at = draw(st.floats(0.1, 10))
        return Guide(x=at, label=draw(words)) if draw(st.booleans()) else Guide(y=at, label=draw(words))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    z = np.array(draw(arrays(rows * columns))).reshape(rows, columns)
    # a log scale is about no zero, and so never diverging
    scale, look = draw(
        st.sampled_from([("linear", "sequential"), ("log", "sequential"), ("linear", "diverging")])
    )
    limits = draw(st.sampled_from([None, (0.1, 2.0)]))
    color = ColorAxis(draw(words), draw(words), scale, limits, look)
    start = draw(st.floats(0.1, 5))
    return Heatmap(start + np.arange(columns), start + np.arange(rows), z, color, draw(st.booleans()))


figures = st.builds(
    FigureSpec,
    st.just("f"),
    words,
    axes(),
    axes(),
    st.lists(marks(), max_size=5).map(tuple),
    words,
    errors=words,
    equal=st.booleans(),
    color=st.none() | st.builds(ColorAxis, words, words, limits=st.sampled_from([None, (1.0, 12.0)])),
    symbols=st.lists(st.tuples(st.sampled_from(SYMBOLS + DASHES), words), max_size=3).map(tuple),
)


@given(figures)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_null_and_plotly_draw_every_figure(spec: FigureSpec) -> None:
    """Oracle: plotly validates each attribute, and its JSON must be readable by a strict parser."""
    landscape.plot(spec, backend="null")
    text = landscape.plot(spec).to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@given(figures)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_matplotlib_draws_every_figure(spec: FigureSpec) -> None:
    """Oracle: rendering to pixels runs all of matplotlib's checks; warnings are errors here."""
    image = io.BytesIO()
    landscape.plot(spec, backend="matplotlib").savefig(image, format="png", dpi=40)
    assert image.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("backend", ["plotly", "matplotlib"])
def test_what_has_no_place_on_a_logarithmic_axis_is_left_out(backend: str) -> None:
    """Oracle: warnings are errors here."""
    x = np.array([0.0, 0.0, 1.0])
    band = Line(x=x, y=x, series=Series("a", ""), low=x, high=x)
    spec = FigureSpec("f", "", Axis("x", scale="log"), Axis("y"), (band,))
    figure = landscape.plot(spec, backend=backend)
    if backend == "matplotlib":
        figure.savefig(io.BytesIO(), format="png", dpi=40)


def spec_of(*drawn: Any, x: Axis | None = None, y: Axis | None = None, **more: Any) -> FigureSpec:
    return FigureSpec("f", "title", x or Axis("x"), y or Axis("y", "nat"), drawn, **more)


@pytest.mark.parametrize("scale", ["linear", "log", "symlog"])
def test_both_back_ends_show_the_same_line(scale: Any) -> None:
    """Oracle: the values given, read back from each library's own objects."""
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, np.nan, 20.0, 300.0])
    spec = spec_of(Line(x, y, Series("a"), y * 0.5, y * 2), y=Axis("y", scale=scale))
    band, line = landscape.plot(spec).data
    shown = symlog(y, 1.0) if scale == "symlog" else y
    np.testing.assert_array_equal(line.y, shown)
    drawn = landscape.plot(spec, backend="matplotlib").axes[0]
    np.testing.assert_array_equal(drawn.lines[0].get_ydata(), y)
    assert drawn.get_yscale() == scale
    assert np.isnan(band.y).sum() == 1  # the gap splits the band in two
    assert len(drawn.collections) == 2


def test_both_back_ends_show_the_same_bars_and_errors() -> None:
    """Oracle: the heights given; bars of two models stand side by side within their category."""
    y = {"a": [1.0, -2.0], "b": [3.0, 4.0]}
    spec = spec_of(
        *(Bars([0, 1], h, Series(m), error=[0.1, 0.2]) for m, h in y.items()),
        x=Axis("kind", categories=("one", "two")),
    )
    bars = landscape.plot(spec).data
    for trace, heights in zip(bars, y.values(), strict=True):
        np.testing.assert_allclose(trace.y, heights)
        np.testing.assert_allclose(trace.error_y.array, [0.1, 0.2])
        np.testing.assert_allclose(trace.error_y.arrayminus, [0.1, 0.2])
    drawn = landscape.plot(spec, backend="matplotlib").axes[0]
    theirs = [[p.get_height() for p in c.patches] for c in drawn.containers if hasattr(c, "patches")]
    np.testing.assert_allclose(theirs, list(y.values()))
    assert max(bars[0].x[0], bars[1].x[0]) + bars[0].width[0] / 2 <= 0.5
    assert bars[0].x[0] + bars[0].width[0] == pytest.approx(bars[1].x[0])
    assert [t.get_text() for t in drawn.get_xticklabels()] == ["one", "two"]
    assert list(landscape.plot(spec).layout.xaxis.ticktext) == ["one", "two"]


def test_both_back_ends_show_the_same_stems_and_points() -> None:
    """Oracle: the values given; stems start at zero."""
    y = [3.0, -1.0]
    spec = spec_of(Stems([0, 1], y, Series("a")), Points([0, 1], y, Series("b"), error=[1, 1]))
    stem, heads, points = landscape.plot(spec).data
    np.testing.assert_array_equal(stem.y.reshape(2, 3)[:, :2], [[0, 3], [0, -1]])
    np.testing.assert_array_equal(heads.y, y)
    np.testing.assert_array_equal(points.y, y)
    drawn = landscape.plot(spec, backend="matplotlib").axes[0]
    np.testing.assert_array_equal(drawn.lines[0].get_ydata(), y)
    np.testing.assert_array_equal(drawn.collections[0].get_segments()[1][:, 1], [0, -1])


@pytest.mark.parametrize("kind", ["sequential", "diverging"])
def test_both_back_ends_show_the_same_field(kind: Any) -> None:
    """Oracle: the field given, and colour limits symmetric about zero for the diverging map."""
    z = np.array([[1.0, -2.0, np.nan], [0.0, 4.0, 3.0]])
    spec = spec_of(Heatmap([0, 1, 2], [0, 1], z, ColorAxis("z", "nat", kind=kind)))
    (trace,) = landscape.plot(spec).data
    np.testing.assert_array_equal(trace.z, z)
    figure = landscape.plot(spec, backend="matplotlib")
    mesh = figure.axes[0].collections[0]
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), z)
    limits = (-4, 4) if kind == "diverging" else (-2, 4)
    assert (trace.zmin, trace.zmax) == limits == mesh.get_clim()
    assert trace.colorbar.title.text == figure.axes[1].get_ylabel() == "z (nat)"


def test_log_colours_hide_what_has_no_logarithm() -> None:
    """Oracle: log10 by numpy; zero and negative values become gaps, not the lowest colour."""
    z = np.array([[1.0, 10.0], [0.0, -1.0]])
    spec = spec_of(Heatmap([0, 1], [0, 1], z, ColorAxis("z", scale="log")))
    (trace,) = landscape.plot(spec).data
    np.testing.assert_array_equal(trace.z, [[0, 1], [np.nan, np.nan]])
    mesh = landscape.plot(spec, backend="matplotlib").axes[0].collections[0]
    assert mesh.get_array().mask.tolist() == [[False, False], [True, True]]


def test_symlog_ticks_say_the_true_values() -> None:
    """Oracle: undoing the transform by hand at the tick positions gives the tick texts."""
    spec = spec_of(Stems([0, 1], [-20.0, 300.0]), y=Axis("λ", scale="symlog"))
    axis = landscape.plot(spec).layout.yaxis
    assert dict(zip(axis.ticktext, axis.tickvals, strict=True)) == {
        "−10": -2, "−1": -1, "0": 0, "1": 1, "10": 2, "100": 3,
    }  # fmt: skip
    drawn = landscape.plot(spec, backend="matplotlib").axes[0]
    assert [t.get_text() for t in drawn.get_yticklabels()] == list(axis.ticktext)


def test_one_model_one_colour_in_every_figure() -> None:
    """Oracle: a second figure that shows the second model alone must not give it the first hue."""
    both = spec_of(Line([0], [0], Series("a")), Line([0], [1], Series("b")))
    alone = spec_of(Line([0], [1], Series("b")))
    for backend in ("plotly", "matplotlib"):
        one, other = landscape.plot([both, alone], backend=backend)
        if backend == "plotly":
            assert one.data[1].line.color == other.data[0].line.color
        else:
            assert one.axes[0].lines[1].get_color() == other.axes[0].lines[0].get_color()


def test_many_coloured_lines_get_a_colour_bar_instead_of_a_legend() -> None:
    """Oracle: 30 layers, no legend, one colour bar with the label of the specification."""
    lines = [Line([0, 1], [i, i], Series("m", label=f"layer {i}"), color_value=i / 29) for i in range(30)]
    spec = spec_of(*lines, color=ColorAxis("depth", limits=(1.0, 30.0)))
    figure = landscape.plot(spec)
    assert not figure.layout.showlegend
    assert figure.data[0].marker.colorbar.title.text == "depth"
    assert (figure.data[0].marker.cmin, figure.data[0].marker.cmax) == (1.0, 30.0)
    paper = landscape.plot(spec, backend="matplotlib")
    assert not paper.legends
    assert paper.axes[1].get_ylabel() == "depth"


def test_depth_lines_of_one_model_are_solid_and_of_two_keep_their_dash() -> None:
    """Oracle: a dash tells models apart, so it says nothing where there is one."""
    palette = Palette({"a": "g", "b": "g"})
    first, second = (Line([0, 1], [0, 1], Series(m, "g"), color_value=0.5) for m in "ab")
    for drawn, dashes in (((second,), ["solid"]), ((first, second), ["solid", "dash"])):
        figure = landscape.plot(spec_of(*drawn), palette=palette)
        assert [t.line.dash for t in figure.data] == dashes
        paper = landscape.plot(spec_of(*drawn), backend="matplotlib", palette=palette)
        assert [{"-": "solid", "--": "dash"}[t.get_linestyle()] for t in paper.axes[0].lines] == dashes


def test_labels_of_guides_stay_within_the_axes() -> None:
    """Oracle: the rectangles that matplotlib laid out; plotly is told the same sides."""
    line = Line([0, 1], [-1, 0])
    spec = spec_of(line, Guide(x=1.0, label="right end"), Guide(y=0.0, label="upper end"))
    figure = landscape.plot(spec, backend="matplotlib")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    box = axes.get_window_extent()
    for label in axes.texts:
        inside = label.get_window_extent()
        assert box.x0 <= inside.x0 and inside.x1 <= box.x1
        assert box.y0 <= inside.y0 and inside.y1 <= box.y1
    right, upper = landscape.plot(spec).layout.shapes
    assert right.label.xanchor == "right" and upper.label.yanchor == "top"


def test_symbols_of_kinds_stay_out_of_the_models_legend() -> None:
    """Oracle: the legend's own handles: bars of each model's colour, with no marker of one kind."""
    x = np.arange(3.0)
    points = [
        Points(x, x + i, Series(model=m), symbols=("circle", "square", "diamond")) for i, m in enumerate("ab")
    ]
    handles = landscape.plot(spec_of(*points), backend="matplotlib").legends[0].legend_handles
    assert [h.get_marker() for h in handles] == ["None", "None"]
    assert handles[0].get_color() != handles[1].get_color()
    shown = [t for t in landscape.plot(spec_of(*points)).data if t.showlegend]
    assert [(t.name, t.mode, t.marker.symbol) for t in shown] == [("a", "lines", None), ("b", "lines", None)]


def test_legends_say_what_symbols_mean() -> None:
    """Oracle: the texts and symbols of both legends, after the models'; also where there is one model."""
    x = np.arange(2.0)
    points = Points(x, x, Series(model="a"), symbols=("circle", "diamond"))
    spec = spec_of(points, symbols=(("circle", "convolution"), ("diamond", "<b>$attention$</b>")))
    legend = landscape.plot(spec, backend="matplotlib").legends[0]
    assert [t.get_text() for t in legend.get_texts()] == ["a", "convolution", r"<b>\$attention\$</b>"]
    assert [h.get_marker() for h in legend.legend_handles[1:]] == ["o", "D"]
    figure = landscape.plot(spec)
    entries = [
        (t.name, t.marker.symbol) for t in figure.data if t.showlegend and t.legendgroup[:6] == "symbol"
    ]
    assert entries == [("convolution", "circle"), ("&lt;b&gt;&#36;attention&#36;&lt;/b&gt;", "diamond")]
    assert figure.layout.showlegend


def test_legends_say_what_styles_of_lines_mean() -> None:
    """Oracle: the dashes of both legends' own entries, after the models'; another word is refused."""
    x = np.arange(2.0)
    lines = [Line(x, x + i, Series("a"), style=style) for i, style in enumerate(("solid", "dot"))]
    spec = spec_of(*lines, symbols=(("solid", "many steps"), ("dot", "random")))
    legend = landscape.plot(spec, backend="matplotlib").legends[0]
    assert [t.get_text() for t in legend.get_texts()] == ["a", "many steps", "random"]
    assert [h.get_linestyle() for h in legend.legend_handles[1:]] == ["-", ":"]
    signs = [t for t in landscape.plot(spec).data if t.legendgroup[:6] == "symbol"]
    entries = [(t.name, t.mode, t.line.dash) for t in signs]
    assert entries == [("many steps", "lines", "solid"), ("random", "lines", "dot")]
    with pytest.raises(InputError, match="no point symbol 'wavy'"):
        spec_of(*lines, symbols=(("wavy", "random"),))

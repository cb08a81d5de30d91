"""The relief back end draws the figure's own numbers, as a surface."""

from __future__ import annotations

import numpy as np

import landscape
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line, Points

X, Y = np.array([0.0, 1.0, 3.0]), np.array([-1.0, 2.0])
Z = np.array([[1.0, 10.0, 100.0], [0.0, np.nan, 1000.0]])


def spec(scale="log", *more, z=Z):
    color = ColorAxis("loss", "nats", scale, (1.0, 1000.0))
    return FigureSpec(
        "f", "A <b>", Axis("x", limits=(0.0, 3.0)), Axis("y"), (Heatmap(X, Y, z, color, True), *more)
    )


def test_heights_are_values_and_colours_those_of_the_flat_figure():
    """Oracle: the specification, and the flat figure's colours and limits."""
    (surface,) = landscape.plot(spec(), backend="relief").data
    (flat,) = landscape.plot(spec()).data
    assert surface.type == "surface"
    np.testing.assert_array_equal(surface.x, X)
    np.testing.assert_array_equal(surface.z, [[1, 10, 100], [np.nan, np.nan, 1000]])
    np.testing.assert_array_equal(surface.surfacecolor, flat.z)
    assert (surface.cmin, surface.cmax) == (0.0, 3.0)
    linear = landscape.plot(spec("linear"), backend="relief")
    np.testing.assert_array_equal(linear.data[0].z, Z)
    assert linear.layout.scene.zaxis.type == "linear"
    assert linear.layout.scene.xaxis.range == (0.0, 3.0)


def test_points_and_lines_lie_on_the_surface():
    """Oracle: bilinear interpolation by hand: halfway between 1 and 10 along the lower edge."""
    figure = landscape.plot(
        spec(
            "linear",
            Points([0.5], [-1.0], texts=("a <i>",)),
            Line([0.0, 9.0], [-1.0, -1.0]),
            z=np.nan_to_num(Z),
        ),
        backend="relief",
    )
    points, line = figure.data[1:]
    np.testing.assert_allclose(points.z, [5.5])
    assert points.text == ("a &lt;i&gt;",)
    place = np.asarray(line.x)
    inside = np.interp(place, X, [1.0, 10.0, 100.0])
    np.testing.assert_allclose(line.z, np.where(place <= 3.0, inside, np.nan))


def test_figures_without_a_field_are_drawn_flat():
    """Oracle: the plotly back end."""
    flat = FigureSpec("f", "t", Axis("x"), Axis("y"), (Line([0, 1], [2, 3]),))
    assert landscape.plot(flat, backend="relief") == landscape.plot(flat)


def test_all_surfaces_of_a_section_have_one_range_of_heights():
    """Oracle: the limits of the colours, which the figures share; on a log scale their exponents."""
    for scale, ends in (("log", (0.0, 3.0)), ("linear", (1.0, 1000.0))):
        for z in (np.nan_to_num(Z, nan=2.0), np.full(Z.shape, 5.0)):
            figure = landscape.plot(spec(scale, z=z), backend="relief")
            assert figure.layout.scene.zaxis.range == ends


def test_a_line_over_a_hill_climbs_it():
    """Oracle: the ridge's own formula, 1 − |x|, at each place of the line that crosses it.

    The line has two points, both at the foot: drawn straight between them it would run through the ridge. On
    a log scale the field between its points is geometric, as the picture shows it.
    """
    x = np.array([-1.0, 0.0, 1.0])
    for scale, ridge in (("linear", 2.0 - np.abs(x)), ("log", 10.0 ** (1 - np.abs(x)))):
        field = Heatmap(x, x, np.tile(ridge, (3, 1)), ColorAxis("loss", "", scale, (0.5, 20.0)), True)
        hill = FigureSpec("f", "", Axis("x"), Axis("y"), (field, Line([-1.0, 1.0], [-0.5, 0.5])))
        _, line = landscape.plot(hill, backend="relief").data
        places = np.asarray(line.x)
        want = 2 - np.abs(places) if scale == "linear" else 10.0 ** (1 - np.abs(places))
        assert 0.0 in places and places.size > 6
        np.testing.assert_allclose(line.z, want)
        np.testing.assert_allclose(line.y, places / 2)

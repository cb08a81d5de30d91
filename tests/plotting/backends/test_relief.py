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
    np.testing.assert_array_equal(line.z, [1.0, np.nan])


def test_figures_without_a_field_are_drawn_flat():
    """Oracle: the plotly back end."""
    flat = FigureSpec("f", "t", Axis("x"), Axis("y"), (Line([0, 1], [2, 3]),))
    assert landscape.plot(flat, backend="relief") == landscape.plot(flat)

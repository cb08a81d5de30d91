"""The back end that draws nothing takes the decisions of the others."""

from __future__ import annotations

import numpy as np

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Heatmap, Line, Series, Violin
from landscape.plotting.axes_layout import axes_layout
from landscape.plotting.backends.null import draw
from landscape.plotting.palette import Palette


def test_it_returns_the_arrangement_of_every_mark() -> None:
    """Oracle: `axes_layout` itself, and the palette asked for each model."""
    marks = (
        Line([0, 1], [0, 1], Series("a")),
        Heatmap([0, 1], [0, 1], [[1.0, 2.0], [3.0, np.nan]], ColorAxis("z")),
        Violin(0.0, [1.0, 2.0, 3.0], Series("b")),
        Guide(x=0.5),
    )
    spec = FigureSpec("f", "", Axis("x"), Axis("y"), marks)
    assert draw(spec, Palette({"a": "", "b": ""})) == axes_layout(spec)

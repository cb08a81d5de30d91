"""`FigureSpec` and its marks refuse what no back end could draw honestly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from landscape.base.figure import (
    Axis,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Points,
    Stems,
    has_errors,
    series,
)
from landscape.errors import InputError


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Line([0, 1], [0]), "one length"),
        (lambda: Line([0], [0], low=[0]), "both low and high"),
        (lambda: Line([0], [0], style="dashed"), "did you mean 'dash'"),
        (lambda: Line([0], [0], color_value=1.5), "lies in"),
        (lambda: Points([0, 1], [0, 1], symbols=("circle",)), "2 symbols"),
        (lambda: Points([0], [0], symbols=("star",)), "no point symbol 'star'"),
        (
            lambda: FigureSpec("f", "F", Axis("x"), Axis("y"), (), symbols=(("star", "a"),)),
            "no point symbol 'star'",
        ),
        (lambda: Stems([0, 1], [0, 1], texts=("a",)), "2 texts"),
        (lambda: Heatmap([0, 1], [0], [[1.0]], ColorAxis("z")), r"got \(1, 1\)"),
        (lambda: Axis("x", scale="logarithmic"), "no scale"),
        (lambda: Axis("x", limits=(1, 0)), "low < high"),
        (lambda: Axis("x", limits=(0, np.inf)), "finite"),
        (lambda: Axis("x", scale="log", limits=(0, 1)), "positive"),
        (lambda: Axis("x", linthresh=0.0), "linthresh"),
        (lambda: ColorAxis("z", scale="log", limits=(-1, 1)), "positive"),
        (Guide, "exactly one"),
        (lambda: Guide(1.0, 2.0), "exactly one"),
    ],
)
def test_marks_refuse_nonsense(make: Callable[[], object], sentence: str) -> None:
    """Oracle: the sentence must name what was wrong."""
    with pytest.raises(InputError, match=sentence):
        make()


def test_titles_carry_units() -> None:
    """Oracle: written out by hand; a pure number has no unit."""
    assert Axis("loss", "nat").title == ColorAxis("loss", "nat").title == "loss (nat)"
    assert Axis("t", "1").title == Axis("t").title == "t"


def test_a_series_has_the_label_and_the_group_of_the_zoo() -> None:
    """Oracle: the attributes, written by hand."""
    wide, alone = xr.Dataset(attrs={"group": "wide"}), xr.Dataset()
    assert series("m", wide).group == "wide"
    assert (series("m", alone).model, series("m", alone).group) == ("m", "")


def test_marks_hold_float_arrays() -> None:
    """Oracle: numpy's own types; integers and lists are taken."""
    line = Line([0, 1], (2, 3), low=[1, 2], high=[3, 4])
    assert all(a.dtype == np.float64 for a in (line.x, line.y, line.low, line.high))


def test_errors_are_told_only_where_there_are_some() -> None:
    """Oracle: the marks by hand; errors that are all NaN draw nothing."""
    nan = float("nan")
    for mark, some in (
        (Line([0, 1], [0, 1]), False),
        (Line([0, 1], [0, 1], low=[nan, 0], high=[nan, 2]), True),
        (Points([0], [0], error=[nan]), False),
        (Stems([0], [0], error=[1]), True),
        (Guide(y=0), False),
    ):
        spec = FigureSpec("f", "F", Axis("x"), Axis("y"), (mark,), "Caption.", "Bars: errors.")
        assert has_errors(mark) == some
        assert spec.whole_caption == ("Caption. Bars: errors." if some else "Caption.")


def test_a_diverging_colour_axis_has_a_centre() -> None:
    """Oracle: the sentence: zero, the centre, has no place on a log scale."""
    with pytest.raises(InputError, match="diverging about zero"):
        ColorAxis("change", scale="log", kind="diverging")

"""Intervals: what captions say of bars and bands."""

from __future__ import annotations

import pytest

from landscape.base.figure import Axis, FigureSpec, Points
from landscape.base.interval import Interval
from landscape.errors import InputError


def test_a_caption_says_the_level_once_where_there_are_bars() -> None:
    """Oracle: sentences by hand; a figure without bars says nothing of them."""
    bars = Interval("over images", "by the bootstrap", "Bars", note="They lie lower.")
    spec = FigureSpec("f", "", Axis("x"), Axis("y"), (Points([0], [1], error=[2]),), "Caption.", bars)
    said = "Bars: 95 % intervals, by the bootstrap over images. They lie lower."
    assert spec.whole_caption == f"Caption. {said}"
    assert FigureSpec("f", "", Axis("x"), Axis("y"), (), "Caption.", bars).whole_caption == "Caption."
    assert str(Interval("over cells", "", "Bars", 0.9)) == "Bars: 90 % intervals, over cells."


def test_what_is_no_interval_is_refused() -> None:
    """Oracle: the sentences."""
    with pytest.raises(InputError, match="between 0 and 1; got 95"):
        Interval(level=95)
    with pytest.raises(InputError, match="'Bars' or 'Bands'"):
        Interval(mark="bars")  # type: ignore[arg-type]

"""The style holds within its block only."""

from __future__ import annotations

import matplotlib
import pytest

from landscape.plotting.backends.matplotlib_style import COLUMNS, STYLE, styled, styled_for_print


@pytest.mark.parametrize(("style", "size"), [(styled, 9.0), (styled_for_print, 8.0)])
def test_settings_are_those_of_the_style_and_then_the_callers(style, size) -> None:
    """Oracle: matplotlib's settings before, within and after, also after an error."""
    before = dict(matplotlib.rcParams)
    with pytest.raises(ZeroDivisionError), style():
        assert matplotlib.rcParams["font.size"] == size
        assert matplotlib.rcParams["pdf.fonttype"] == STYLE["pdf.fonttype"] == 42
        raise ZeroDivisionError
    assert dict(matplotlib.rcParams) == before


def test_two_columns_and_the_gutter_fill_a_page() -> None:
    """Oracle: a gutter of a quarter of an inch, as the conferences have it."""
    assert COLUMNS["double"] == 2 * COLUMNS["single"] + 0.25

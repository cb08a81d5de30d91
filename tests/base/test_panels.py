"""Panels as values: how they are laid out, lettered, and what they share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Heatmap, Line
from landscape.base.panels import each_panel, lettered, one_bar, panels_of, shares, side_by_side
from landscape.errors import InputError


def cut(name: str, **changes: object) -> FigureSpec:
    spec = FigureSpec(name, f"Cut {name}", Axis("t"), Axis("loss"), (Line([0, 1], [2, 3]),), f"Of {name}.")
    return replace(spec, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 3, [1]), (3, 3, [3]), (4, 3, [2, 2]), (5, 3, [3, 2]), (4, 2, [2, 2])]
)
def test_rows_are_as_even_as_they_can_be(count: int, columns: int, rows: list[int]) -> None:
    """Oracle: the rows written out by hand."""
    spec = side_by_side("s", "S", [cut(str(i)) for i in range(count)], columns=columns)
    assert [len(row) for row in spec.panels] == rows
    assert [p.name for p in panels_of(spec)] == [str(i) for i in range(count)]


def test_letters_and_captions() -> None:
    """Oracle: the caption as a paper has it; a short title stands beside its letter, a long one does not."""
    spec = lettered(side_by_side("s", "", [cut("a"), cut("b", title="A title too long to stand there")]))
    assert [p.title for p in panels_of(spec)] == ["(a) Cut a", "(b)"]
    assert spec.whole_caption == "(a) Cut a. Of a. (b) A title too long to stand there. Of b."
    many = lettered(side_by_side("s", "", [cut(str(i), title="") for i in range(28)], columns=7))
    assert [p.title for p in panels_of(many)][24:] == ["(y)", "(z)", "(aa)", "(ab)"]


def test_what_is_shared() -> None:
    """Oracle: axes and colours that are equal by hand, and others."""
    spec = side_by_side("s", "S", [cut("a"), cut("b", y=Axis("accuracy"))])
    assert shares(spec, "x") and not shares(spec, "y")
    field = Heatmap([0, 1], [0, 1], [[0, 1], [2, 3]], ColorAxis("loss"))
    other = replace(field, color=ColorAxis("gain"))
    assert one_bar(side_by_side("s", "S", [cut("a", marks=(field,)), cut("b", marks=(field,))]))
    assert not one_bar(side_by_side("s", "S", [cut("a", marks=(field,)), cut("b", marks=(other,))]))


def test_a_change_of_panels_is_told_once() -> None:
    """Oracle: one sentence, though two captions have it."""
    spec = side_by_side("s", "S", [cut("a"), cut("b")], caption="Both.")
    changed = each_panel(spec, lambda p: replace(p, caption=f"{p.caption} Thinned."))
    assert changed.caption == "Both. Thinned."


def test_errors_of_panels_are_told_once_in_the_whole_caption() -> None:
    """Oracle: one sentence on bands, since both panels have the same."""
    line = Line([0, 1], [2, 3], low=[1, 2], high=[3, 4])
    parts = [cut(n, marks=(line,), errors="Bands: 95 %.") for n in "ab"]
    assert side_by_side("s", "S", parts, caption="Both.").whole_caption == "Both. Bands: 95 %."


def test_what_cannot_be_panels_is_refused() -> None:
    """Oracle: one sentence each."""
    with pytest.raises(InputError, match="at least one figure"):
        side_by_side("s", "S", [])
    with pytest.raises(InputError, match="give it none"):
        replace(cut("a"), panels=((cut("b"),),))
    with pytest.raises(InputError, match="row without panels"):
        replace(cut("a"), marks=(), panels=((),))
    with pytest.raises(InputError, match="side by side"):
        replace(cut("a"), marks=(), panels=((side_by_side("s", "S", [cut("b")]),),))

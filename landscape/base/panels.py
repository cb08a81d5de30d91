"""Panels: several figures as one, in rows and columns, with what they share said once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from landscape.base.figure import FigureSpec, Heatmap
from landscape.errors import InputError

__all__ = ["COLUMNS", "each_panel", "letter", "lettered", "one_bar", "panels_of", "shares", "side_by_side"]

COLUMNS = 3
"""Panels in a row, unless said otherwise."""

_SHORT = 18
"""Characters of a title that stands beside a panel's letter, such as a model's name."""


def side_by_side(
    name: str, title: str, figures: Sequence[FigureSpec], *, columns: int = COLUMNS, caption: str = ""
) -> FigureSpec:
    """One figure of several.

    An axis that all of them have in common is shared: it has one range, and its labels stand at the edge.

    Args:
        name: Identifier, unique within its analysis.
        title: One line.
        figures: What to set side by side, row by row; those with panels give these.
        columns: Most panels of a row; of four, two rows of two are made of three and one.
        caption: What is shown.

    Raises:
        InputError: If there is no figure.

    Example:
        >>> from landscape.base.figure import Axis, Line
        >>> cut = FigureSpec("cut", "A cut", Axis("t"), Axis("loss"), (Line([0, 1], [2, 3]),))
        >>> [len(row) for row in side_by_side("cuts", "Cuts", [cut] * 4).panels]
        [2, 2]
    """
    single = [panel for figure in figures for panel in panels_of(figure)]
    if not single:
        raise InputError(f"figure '{name}' has no panels: give it at least one figure.")
    rows = -(-len(single) // columns)
    across = -(-len(single) // rows)
    grid = tuple(tuple(single[i : i + across]) for i in range(0, len(single), across))
    return FigureSpec(name, title, single[0].x, single[0].y, (), caption, panels=grid)


def panels_of(spec: FigureSpec) -> list[FigureSpec]:
    """The panels of a figure, row by row; itself if it has none."""
    return [panel for row in spec.panels for panel in row] or [spec]


def each_panel(spec: FigureSpec, change: Callable[[FigureSpec], FigureSpec]) -> FigureSpec:
    """The figure with every panel changed; with itself changed if it has none.

    What a change adds to the captions of panels is said in that of the figure.
    """
    if not spec.panels:
        return change(spec)
    panels = tuple(tuple(change(panel) for panel in row) for row in spec.panels)
    before, after = panels_of(spec), [panel for row in panels for panel in row]
    if all(a is b for a, b in zip(before, after, strict=True)):
        return spec
    pairs = zip(before, after, strict=True)
    added = [b.caption.removeprefix(a.caption).strip() for a, b in pairs if b.caption.startswith(a.caption)]
    caption = " ".join(text for text in dict.fromkeys([spec.caption, *added]) if text)
    return replace(spec, panels=panels, caption=caption)


def lettered(spec: FigureSpec) -> FigureSpec:
    """The figure with its panels called (a), (b), (c), ...; the caption says what each of them shows."""
    panels = panels_of(spec)
    letters = [letter(i) for i in range(len(panels))]
    told = " ".join(
        f"({letter}) {panel.title}." + (f" {panel.caption}" if panel.caption else "")
        for letter, panel in zip(letters, panels, strict=True)
    )
    following = iter(letters)

    def marked_as(panel: FigureSpec) -> FigureSpec:
        short = panel.title if len(panel.title) <= _SHORT else ""
        return replace(panel, title=f"({next(following)}) {short}".strip())

    marked = each_panel(replace(spec, panels=spec.panels or ((spec,),), marks=()), marked_as)
    return replace(marked, caption=f"{spec.caption} {told}".strip() if spec.panels else told)


def letter(place: int) -> str:
    """What a panel is called by its place: ``a`` to ``z``, then ``aa``, ``ab``, ..."""
    rest, last = divmod(place, 26)
    return (letter(rest - 1) if rest else "") + chr(ord("a") + last)


def shares(spec: FigureSpec, name: str) -> bool:
    """Whether all panels have the x or the y axis in common."""
    axes = [panel.x if name == "x" else panel.y for panel in panels_of(spec)]
    return len(axes) > 1 and all(axis == axes[0] for axis in axes)


def one_bar(spec: FigureSpec) -> bool:
    """Whether one colour bar tells the colours of all panels: they hold fields of one quantity each."""
    colors = [m.color for panel in panels_of(spec) for m in panel.marks if isinstance(m, Heatmap)]
    return len(colors) > 1 and all(color == colors[0] for color in colors)

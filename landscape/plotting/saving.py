"""Saving: figures as vector graphics of the width of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.base.figure import FigureSpec
from landscape.errors import InputError, suggest
from landscape.plotting.palette import Palette

if TYPE_CHECKING:
    from landscape.plotting.backends.matplotlib import PaperFigure

__all__ = ["FORMATS", "save_figures"]

FORMATS = ("pdf", "svg", "png", "eps")

_DATE = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}  # the same figure gives the same bytes


def save_figures(
    specs: Sequence[FigureSpec], palette: Palette, path: str | Path, column: str = "single"
) -> list[Path]:
    """Save figures with embedded fonts and without titles, which papers set in captions.

    Args:
        specs: The figures.
        palette: The look of each model.
        path: Where to; its suffix says the format. Several figures become the pages of one PDF, or files
            with the figure's name added.
        column: ``single`` (3.25 in) or ``double`` (6.75 in).

    Returns:
        The files written.

    Raises:
        InputError: If the format or the column is unknown.
        StoreError: If a file cannot be written.
    """
    from landscape.plotting.backends.matplotlib import draw_column
    from landscape.plotting.backends.matplotlib_style import COLUMNS
    from landscape.store.files import replacing

    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise InputError(f"'{path}' must end in one of {', '.join('.' + f for f in FORMATS)}.")
    if column not in COLUMNS:
        raise InputError(f"there is no column '{column}'; {suggest(column, COLUMNS)}")
    drawn = {s.name: draw_column(replace(s, title=""), palette, column) for s in specs}
    if kind == "pdf" and len(drawn) > 1:
        with replacing(path) as temporary:
            _pages(list(drawn.values()), temporary)
        return [path]
    written = []
    for name, figure in drawn.items():
        target = path if len(drawn) == 1 else path.with_stem(f"{path.stem}-{name}")
        with replacing(target) as temporary:
            # No tight box, which would change the width that was asked for.
            figure.savefig(temporary, format=kind, metadata=_DATE.get(kind), bbox_inches=None)
        written.append(target)
    return written


def _pages(figures: Sequence[PaperFigure], path: Path) -> None:
    from matplotlib.backends.backend_pdf import PdfPages

    from landscape.plotting.backends.matplotlib_style import styled

    # Fonts are written when the file is closed: outside the style as Type 3, without minus signs.
    with styled(), PdfPages(path, metadata=_DATE["pdf"]) as pages:
        for figure in figures:
            figure.savefig(pages, format="pdf")

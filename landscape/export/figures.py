"""Paper figures: the results of a store as vector graphics of the width of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.base.figure import FigureSpec
from landscape.errors import InputError, suggest
from landscape.plotting.group_summary import summarize_by_group
from landscape.plotting.model_groupings import model_groupings
from landscape.plotting.palette import Palette
from landscape.store.contents import read_contents
from landscape.store.select import results_of

if TYPE_CHECKING:
    from landscape.plotting.backends.matplotlib import PaperFigure

__all__ = ["FORMATS", "figures_of_store", "save_figures"]

FORMATS = ("pdf", "svg", "png", "eps")

_DATE = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}  # the same figure gives the same bytes


def figures_of_store(
    store: str | Path,
    analysis: str,
    *,
    figure: str | None = None,
    models: Sequence[str] = (),
    by: str | None = None,
) -> tuple[list[FigureSpec], Palette]:
    """The figures of one analysis of a store, and the look that its models have in the report.

    Args:
        store: Folder of the results.
        analysis: A section of the store, by label or by name of the analysis. One of your own is named in
            full, ``package.module:attribute``: what only the store names is not imported.
        figure: Only the figure of this name.
        models: Patterns such as ``"vit-*"``; only matching models are drawn.
        by: Draw medians and bands over the models of each ``group``, ``seed``, or value of a tag.

    Raises:
        StoreError: If the store cannot be read.
        InputError: If the analysis, the figure, the models or the grouping is not there.
    """
    from landscape.base.registry import find_recorded, named

    contents = read_contents(store)
    section, results = results_of(contents, analysis, models)
    own = named([analysis]) if ":" in analysis else {}  # these words are the user's
    specs = find_recorded(section.analysis, own).figures(results)
    if figure is not None:
        known = [s.name for s in specs]
        specs = [s for s in specs if s.name == figure]
        if not specs:
            raise InputError(f"'{section.label}' has no figure '{figure}'; {suggest(figure, known)}")
    if by is None:
        return specs, Palette({m.name: m.group for m in contents.models})
    ways = {way.name: way for way in model_groupings(contents, results)}
    if by not in ways:
        hint = suggest(by, ways) if ways else "they share no group, seed or tag: leave it out."
        raise InputError(f"the models cannot be grouped by '{by}'; {hint}")
    return [summarize_by_group(s, ways[by].groups, by) for s in specs], ways[by].palette


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

    with PdfPages(path, metadata=_DATE["pdf"]) as pages:
        for figure in figures:
            figure.savefig(pages, format="pdf")

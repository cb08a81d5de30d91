"""References: beside a figure, the literature for a paper and the line that draws it again."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from landscape.export.papers import papers, software_entry

if TYPE_CHECKING:
    from landscape.reporting.figures import FigureView
    from landscape.reporting.views import Page, SectionView

__all__ = ["references", "reproducing"]


def references(page: Page) -> dict[str, Any]:
    """Where the results are, the toolkit's own entry, and each cited paper's words and BibTeX by its key."""
    known = {p.key: p for p in papers()}
    keys = dict.fromkeys(key for section in page.sections for key in section.papers)
    store = str(PurePosixPath(page.data).parent) if page.data else "STORE"
    return {
        "store": store if store != "." or page.data else "STORE",
        "zoo": page.name,
        "version": page.version,
        "software": software_entry(page.version),
        "papers": {key: {"short": known[key].short, "bibtex": known[key].bibtex} for key in keys},
    }


def reproducing(section: SectionView, figure: FigureView) -> str:
    """The command that draws a figure from the store; the page puts in where that is and the file."""
    which = "--panels" if figure.spec.panels else "--figure"
    return (
        f"landscape figure STORE -a {shlex.quote(section.label)} {which} {shlex.quote(figure.spec.name)} -o"
    )

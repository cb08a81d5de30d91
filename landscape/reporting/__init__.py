"""The report: a store becomes one HTML page that works offline.

`report`, as ``landscape.report(store)``, reads the files of a store alone, and
needs neither the models nor torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.plotting.palette import Palette
from landscape.reporting.page import render
from landscape.reporting.views import Page, page_of
from landscape.store.select import only

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis

__all__ = ["Page", "page_of", "render", "report"]


def report(
    store: str | Path,
    path: str | Path | None = None,
    *,
    analyses: Iterable[Analysis | str] = (),
    models: Sequence[str] = (),
    zoo: str | None = None,
    paper: bool = False,
) -> Path:
    """Write the report of a store: one self-contained page, complete or not at all.

    Args:
        store: Folder of the results.
        path: The page to write; by default ``report.html`` in the store.
        analyses: Analyses to draw beside the installed ones, as objects or
            ``package.module:attribute``. A module that only the store names is not imported.
        models: Patterns such as ``"vit-*"``: only these models, and the pairs and groups that are named
            like this, are shown.
        zoo: Which zoo, by name, of a store that several manifests share; by default the one that was run
            last.
        paper: Write a PDF of a dozen pages instead, by default ``report.pdf`` in the store: the summary, one
            figure for each analysis, methods and references.

    Returns:
        Where the page, or the PDF, is.

    Raises:
        StoreError: If the store cannot be read or the page cannot be written.
        InputError: If one of ``analyses`` cannot be loaded, no model is like ``models``, or there is
            no such zoo.
    """
    from landscape.store.contents import read_contents
    from landscape.store.files import as_path, write_bytes

    home = as_path(store, "a store")
    target = as_path(path, "a report") if path is not None else home / f"report.{'pdf' if paper else 'html'}"
    contents = only(read_contents(store, zoo), models)
    view = page_of(contents, analyses, _data(home, target))
    if paper:
        from landscape.reporting.paper import write_paper  # with matplotlib, which a page has no use for

        return write_paper(view, Palette({m.name: m.group for m in contents.models}), target)
    page = render(view)
    write_bytes(target, page.encode("utf-8", "replace"))
    return target


def _data(store: Path, target: Path) -> str:
    """Path of the consolidated file as seen from the page."""
    from landscape.store.store import Store

    file = Store(store).consolidated
    return Path(os.path.relpath(file, target.parent)).as_posix() if file.is_file() else ""

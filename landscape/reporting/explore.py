"""Explore: the report of a store as a widget of a notebook, whose state Python reads and sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError
from landscape.reporting.page import render
from landscape.reporting.views import page_of
from landscape.store.contents import read_contents
from landscape.store.select import only

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis

__all__ = ["explore"]


def explore(
    store: str | Path,
    *,
    height: int = 720,
    models: Sequence[str] = (),
    analyses: Iterable[Analysis | str] = (),
    zoo: str | None = None,
) -> Any:
    """The report of a store as a widget: its panels are linked as those of the page are.

    Args:
        store: Folder of the results.
        height: Of the widget, in pixels.
        models: Patterns such as ``"vit-*"``: only these models.
        analyses: Analyses of your own, as objects or ``package.module:attribute``.
        zoo: Which zoo, by name, of a store that several manifests share.

    Returns:
        An ``anywidget.AnyWidget``. Its ``state`` is what stands behind the # of the page's address, the
        section and the selection: it follows what is chosen in the page, the page follows what is set, and
        ``widget.observe(f, "state")`` tells a function of yours.

    Raises:
        InputError: If anywidget is not installed, no model is like ``models``, or there is no such zoo.
        StoreError: If the store cannot be read.
    """
    kind = _widget_class()
    contents = only(read_contents(store, zoo), models)
    return kind(page=render(page_of(contents, analyses)), height=int(height))


@cache
def _widget_class() -> Any:
    """The class of the widget; made when it is needed, since its library need not be there."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise InputError(
            "landscape.explore needs anywidget: pip install 'landscape-toolkit[notebook]';"
            " landscape.report(store) writes the same page for a browser."
        ) from None

    class Explorer(anywidget.AnyWidget):  # type: ignore[misc]
        """The report in a frame."""

        _esm = _script()
        page = traitlets.Unicode().tag(sync=True)
        height = traitlets.Int(720).tag(sync=True)
        state = traitlets.Unicode("").tag(sync=True)

        def __repr__(self) -> str:
            return f"Explorer(state={self.state!r})"

    return Explorer


def _script() -> str:
    return (
        resources.files("landscape.reporting").joinpath("templates", "explore.js").read_text(encoding="utf-8")
    )

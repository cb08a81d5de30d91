"""Figures: what `landscape.plot` returns, one or many, which shows and saves itself."""

from __future__ import annotations

import importlib
import sys
import tempfile
import webbrowser
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from landscape.base.figure import FigureSpec
from landscape.errors import InputError
from landscape.plotting.backends.find import find_backend
from landscape.plotting.choice import choose_figures
from landscape.plotting.notebook import bundle_of
from landscape.plotting.palette import Palette
from landscape.plotting.saving import FORMATS, save_figures

__all__ = ["Figures"]


class Figures(list[Any]):
    """The drawn figures of a result, in order. One alone also has the attributes of the back end's figure.

    Args:
        drawn: The back end's figures.
        specs: What they were drawn from.
        palette: The look of each model.
        labels: The models, pairs or groups that they are of.

    Example:
        >>> import landscape
        >>> from landscape.base.figure import Axis, FigureSpec, Line
        >>> spec = FigureSpec("cut", "A cut", Axis("t"), Axis("loss"), (Line([0, 1], [2, 3]),))
        >>> figures = landscape.plot([spec, spec], backend="null")
        >>> len(figures), figures.names, landscape.plot(spec, backend="null").extents["y"]
        (2, ['cut', 'cut'], (2.0, 3.0))
    """

    def __init__(
        self,
        drawn: Iterable[Any] = (),
        specs: Sequence[FigureSpec] = (),
        palette: Palette | None = None,
        labels: Iterable[str] = (),
    ) -> None:
        super().__init__(drawn)
        self.specs = list(specs)
        self.palette = palette
        self.labels = list(labels)

    @property
    def names(self) -> list[str]:
        """Names of the figures."""
        return [spec.name for spec in self.specs]

    def __getitem__(self, place: Any) -> Any:
        """A figure by its number or its name, which may have its model's in place of a number."""
        if isinstance(place, str):
            chosen = choose_figures(self.specs, place, self.labels)
            places = [self.specs.index(spec) for spec in chosen]
            picked = Figures([list.__getitem__(self, i) for i in places], chosen, self.palette, self.labels)
            return picked[0] if len(picked) == 1 else picked
        return super().__getitem__(place)

    def __getattr__(self, name: str) -> Any:
        """Of one figure alone, an attribute of the back end's."""
        if len(self) == 1 and not name.startswith("_"):
            return getattr(list.__getitem__(self, 0), name)
        several = f"; it holds {len(self)} figures: choose one by number or name" if len(self) != 1 else ""
        raise AttributeError(f"'Figures' has no attribute '{name}'{several}")

    def show(self) -> None:
        """Show all: in a notebook below the cell, else in the browser."""
        if "ipykernel" in sys.modules:
            self._ipython_display_()
            return
        with tempfile.NamedTemporaryFile(suffix=".html", prefix="landscape-", delete=False) as file:
            path = Path(file.name)
        webbrowser.open(self.save(path)[0].resolve().as_uri())

    def save(self, path: str | Path, column: str = "single") -> list[Path]:
        """Save all, whatever they were drawn with.

        Args:
            path: ``.html`` for one interactive page; ``.pdf``, ``.svg``, ``.png`` or ``.eps`` for papers;
                of several the pages of one PDF, or files with the figure's name added.
            column: Of a paper: ``single`` (3.25 in) or ``double`` (6.75 in).

        Returns:
            The files written.

        Raises:
            InputError: If the format or the column is unknown.
            StoreError: If a file cannot be written.
        """
        path = Path(path)
        palette = self.palette or Palette.of(self.specs)
        if path.suffix.lower() not in (".html", ".htm"):
            if path.suffix.lower().lstrip(".") not in FORMATS:
                known = ", ".join(f".{f}" for f in ("html", *FORMATS))
                raise InputError(f"'{path}' must end in one of {known}.")
            return save_figures(self.specs, palette, path, column)
        from landscape.store.files import write_bytes

        own = [f for f in self if hasattr(f, "to_html")]
        figures = (
            own if len(own) == len(self) else [find_backend("plotly").draw(s, palette) for s in self.specs]
        )
        parts = [f.to_html(full_html=False, include_plotlyjs=not i) for i, f in enumerate(figures)]
        page = "<!DOCTYPE html><html><head><meta charset='utf-8'></head><body>\n{}\n</body></html>"
        write_bytes(path, page.format("\n".join(parts)).encode())
        return [path]

    def _ipython_display_(self) -> None:
        display = importlib.import_module("IPython.display").display
        palette = self.palette or Palette.of(self.specs)
        for figure, spec in zip_longest(self, self.specs):
            if spec is not None and hasattr(figure, "to_plotly_json"):
                display(bundle_of(figure, spec, palette), raw=True)
            else:
                display(figure)

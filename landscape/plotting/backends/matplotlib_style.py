"""The matplotlib back end's style, applied around drawing and saving only: no global setting is changed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import matplotlib

__all__ = ["COLUMNS", "STYLE", "styled", "styled_for_print"]

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#59616b",
    "xtick.color": "#59616b",
    "ytick.color": "#59616b",
    "xtick.labelcolor": "#22272e",
    "ytick.labelcolor": "#22272e",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#d9dde2",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "figure.dpi": 120.0,
    "savefig.dpi": 200.0,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
}
"""The style of every figure; applied around drawing and saving only."""

COLUMNS = {"single": 3.25, "double": 6.75}
"""Widths of a column and of a page of two, in inches (ICML, CVPR and IEEE agree within 3 %)."""

_SMALL: dict[str, Any] = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "lines.linewidth": 1.1,
}
"""What a printed column asks for beyond `STYLE`."""


def styled() -> AbstractContextManager[None]:
    """Within it, matplotlib draws and saves in the style of this package."""
    rc: Any = STYLE
    return matplotlib.rc_context(rc)


def styled_for_print() -> AbstractContextManager[None]:
    """Within it, also in the small type of a printed column."""
    rc: Any = {**STYLE, **_SMALL}
    return matplotlib.rc_context(rc)

"""What the back end leaves behind: no global state, figures that show themselves, fonts in the file."""

from __future__ import annotations

import io

import matplotlib

import landscape
from landscape.base.figure import Axis, FigureSpec, Line


def spec_of(line: Line) -> FigureSpec:
    return FigureSpec("f", "title", Axis("x"), Axis("y", "nat"), (line,))


def test_matplotlib_leaves_no_trace() -> None:
    """Oracle: the global settings and pyplot's list of figures before and after."""
    before = dict(matplotlib.rcParams)
    figure = landscape.plot(spec_of(Line([0, 1], [0, 1])), backend="matplotlib")
    figure.savefig(io.BytesIO())
    assert dict(matplotlib.rcParams) == before
    import matplotlib.pyplot as plt

    assert not plt.get_fignums()


def test_matplotlib_figures_show_themselves_and_embed_fonts() -> None:
    """Oracle: the PNG signature that a notebook needs; the font type named in the PDF."""
    figure = landscape.plot(spec_of(Line([0, 1], [0, 1])), backend="matplotlib")
    assert figure[0]._repr_png_().startswith(b"\x89PNG")
    pdf = io.BytesIO()
    figure.savefig(pdf, format="pdf")
    assert b"/Type3" not in pdf.getvalue()

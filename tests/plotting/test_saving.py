"""Figures as files for papers; tests/export/test_figures.py saves those of a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import landscape
from landscape.base.figure import Axis, FigureSpec, Line
from landscape.errors import InputError
from landscape.plotting.palette import Palette
from landscape.plotting.saving import save_figures

SPECS = [FigureSpec(n, n, Axis("t"), Axis("loss"), (Line([0, 1], [2, 3]),)) for n in ("cut", "other")]


def test_several_are_pages_or_files_with_their_names(tmp_path):
    """Oracle: how the formats begin, and the names."""
    palette = Palette.of(SPECS)
    assert save_figures(SPECS, palette, tmp_path / "a.pdf") == [tmp_path / "a.pdf"]
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    names = [p.name for p in save_figures(SPECS, palette, tmp_path / "a.svg")]
    assert names == ["a-cut.svg", "a-other.svg"]
    with pytest.raises(InputError, match="must end in one of"):
        save_figures(SPECS, palette, tmp_path / "a.doc")
    with pytest.raises(InputError, match="no column 'triple'"):
        save_figures(SPECS, palette, tmp_path / "a.pdf", "triple")


def test_every_pdf_keeps_its_minus_signs(tmp_path: Path) -> None:
    """Oracle: fonts and texts as pypdf reads them, which knows nothing of matplotlib.

    Numbers of ticks and of a symlog axis are below zero on every page; one file has one page, the other two.
    """
    pypdf = pytest.importorskip("pypdf")
    spec = FigureSpec(
        "low", "", Axis("t", limits=(-3, 2)), Axis("loss", scale="symlog"), (Line([-2, 1], [-900, 30]),)
    )
    other = replace(spec, name="lower", y=Axis("Δ", limits=(-4, 4)))
    two, palette = [spec, other], Palette()
    (both,) = save_figures(two, palette, tmp_path / "both.pdf")
    (one,) = save_figures(two[:1], palette, tmp_path / "one.pdf")
    (drawn,) = landscape.plot(two, backend="matplotlib").save(tmp_path / "drawn.pdf")
    own = tmp_path / "own.pdf"
    landscape.plot(spec, backend="matplotlib").savefig(own)
    for path, pages in ((both, 2), (one, 1), (drawn, 2), (own, 1)):
        read = pypdf.PdfReader(path)
        assert len(read.pages) == pages
        for page in read.pages:
            fonts = [f.get_object() for f in page["/Resources"]["/Font"].get_object().values()]
            assert fonts and not any(f["/Subtype"] == "/Type3" for f in fonts)
            assert "−2" in page.extract_text()

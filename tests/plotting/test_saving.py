"""Figures as files for papers; tests/export/test_figures.py saves those of a store."""

from __future__ import annotations

import pytest

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

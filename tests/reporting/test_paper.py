"""The paper: a PDF with the summary, a figure for each analysis, methods and references."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from pathlib import Path

from landscape.plotting.palette import Palette
from landscape.reporting import page_of
from landscape.reporting.paper import _set, _Text, write_paper
from landscape.store.contents import Contents


def test_pages_hold_what_fits() -> None:
    """Oracle: heights by hand: of an A4 page 10.19 inches are free."""
    block = (_Text(("x",) * 10, 72 / 1.35 / 4, apart=0.0),)  # ten lines of a quarter of an inch
    assert [len(page) for page in _set([block] * 7)] == [4, 3]


def test_a_store_becomes_a_pdf(contents: Contents, tmp_path: Path) -> None:
    """Oracle: the pages of the file, its fonts, and the same bytes at a second time."""
    page = page_of(contents)
    page = replace(page, sections=page.sections[:2])
    palette = Palette({m.name: m.group for m in contents.models})
    path = write_paper(page, palette, tmp_path / "a.pdf")
    text = path.read_bytes()
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", text, re.S):
        try:
            text += zlib.decompress(stream)
        except zlib.error:
            continue
    assert len(re.findall(rb"/Type /Page\b(?!s)", text)) >= 2
    assert b"/FontFile2" in text and b"/Subtype /Type3" not in text

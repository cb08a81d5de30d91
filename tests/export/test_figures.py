"""Paper figures of a store: sizes, fonts, formats, choices."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landscape.cli.app import app
from landscape.errors import InputError
from landscape.export.figures import figures_of_store, save_figures


def unpacked(pdf: bytes) -> bytes:
    """The bytes of a PDF with its compressed streams opened."""
    parts = [pdf]
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.S):
        try:
            parts.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return b"\n".join(parts)


def test_pdf_has_the_width_of_a_column_and_its_fonts(store: Path, tmp_path: Path) -> None:
    """Oracle: the page box in points (72 an inch), and the font files in the PDF itself."""
    specs, palette = figures_of_store(store, "line", figure="loss")
    for column, inches in (("single", 3.25), ("double", 6.75)):
        (path,) = save_figures(specs, palette, tmp_path / f"{column}.pdf", column)
        text = unpacked(path.read_bytes())
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", text)
        assert box is not None and float(box[1]) == pytest.approx(72 * inches, abs=0.5)
        assert b"/FontFile2" in text and b"/Subtype /Type3" not in text


def test_several_figures_become_pages_or_files(store: Path, tmp_path: Path) -> None:
    """Oracle: the number of pages in the PDF, and the names of the files."""
    specs, palette = figures_of_store(store, "line")
    (pages,) = save_figures(specs, palette, tmp_path / "all.pdf")
    assert len(re.findall(rb"/Type /Page\b(?!s)", unpacked(pages.read_bytes()))) == len(specs) == 3
    files = save_figures(specs, palette, tmp_path / "all.svg")
    assert [f.name for f in files] == [f"all-{s.name}.svg" for s in specs]
    assert all("<svg" in f.read_text("utf-8") for f in files)


def test_models_are_chosen_and_grouped(store: Path) -> None:
    """Oracle: the names that patterns match, and those of the groups."""
    specs, _ = figures_of_store(store, "line", models=["resnet-*"])
    assert {m.series.model for m in specs[0].marks} == {"resnet-s0", "resnet-s1"}
    grouped, palette = figures_of_store(store, "line", by="group")
    assert {m.series.model for m in grouped[0].marks} == {"resnet", "vit"}
    assert palette.style(grouped[0].marks[0].series).color == "#0072b2"


def test_what_is_not_there_is_named(store: Path, tmp_path: Path) -> None:
    """Oracle: sentences with the nearest name or what is possible."""
    for given, words in (
        ({"analysis": "lines"}, "did you mean 'line'"),
        ({"analysis": "line", "figure": "los"}, "did you mean 'loss'"),
        ({"analysis": "line", "models": ["x*"]}, "no results of models like x"),
        ({"analysis": "line", "by": "colour"}, "cannot be grouped by 'colour'"),
    ):
        with pytest.raises(InputError, match=words):
            figures_of_store(store, **given)
    specs, palette = figures_of_store(store, "line")
    with pytest.raises(InputError, match="must end in"):
        save_figures(specs, palette, tmp_path / "a.docx")
    with pytest.raises(InputError, match="no column"):
        save_figures(specs, palette, tmp_path / "a.pdf", "triple")


def test_the_command_lists_and_draws(store: Path, tmp_path: Path) -> None:
    """Oracle: the figures of the analysis by name; a file that begins as a PDF does."""
    run = CliRunner().invoke(app, ["figure", str(store), "--analysis", "line"])
    assert run.exit_code == 0 and "loss: Loss along a direction" in run.output
    out = tmp_path / "f.pdf"
    run = CliRunner().invoke(app, ["figure", str(store), "-a", "spectrum", "-o", str(out)])
    assert run.exit_code == 0 and out.read_bytes().startswith(b"%PDF")
    assert CliRunner().invoke(app, ["figure", str(store), "-a", "nothing"]).exit_code == 2

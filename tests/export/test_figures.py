"""Paper figures and tables of a store: sizes, fonts, formats, choices."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from vtk_text import parse

import landscape
from landscape.cli.app import app
from landscape.errors import InputError
from landscape.export.figures import figures_of_store, save_figures
from landscape.store import Store
from landscape.store.contents import Contents
from landscape.store.records import SectionRecord, Snapshot


@pytest.fixture(scope="module")
def store(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    made = Store(folder)
    records = []
    for number, section in enumerate(s for s in contents.sections if s.analysis != "not_there"):
        tasks = {}
        for k, (subject, ds) in enumerate(section.results.items()):
            tasks[subject] = f"{number:016d}{k:016d}"
            made.write(ds, tasks[subject])
        records.append(
            SectionRecord(section.label, section.analysis, section.analysis, section.parameters, tasks)
        )
    made.write_snapshot(Snapshot(contents.name, tuple(contents.models), tuple(records)))
    return folder


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


LOSSES = {"resnet-s0": np.arange(6.0).reshape(2, 3) / 7, "vit-s0": np.arange(12.0).reshape(4, 3) / 3}


@pytest.fixture(scope="module")
def surfaces(make: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the surfaces of two models and one line."""
    made = Store(tmp_path_factory.mktemp("surfaces"))
    for key, (model, loss) in enumerate(LOSSES.items()):
        made.write(make["surface"](model, loss), f"{key:032d}")
    made.write(make["line"]("vit-s0"), f"{9:032d}")
    return made.directory


def test_the_command_writes_surfaces_for_paraview(surfaces: Path, tmp_path: Path) -> None:
    """Oracle: the numbers that went into the store, read back by a parser of the format."""
    command = ["figure", str(surfaces), "-a", "surface", "-o", str(tmp_path / "s.vtk")]
    run = CliRunner().invoke(app, [*command, "--models", "vit-*"])
    assert run.exit_code == 0, run.output
    points, fields = parse((tmp_path / "s.vtk").read_text("ascii"))
    np.testing.assert_array_equal(fields["loss"], LOSSES["vit-s0"])
    X, Y = np.meshgrid(np.linspace(-1, 1, 3), np.linspace(-1, 1, 4))
    np.testing.assert_array_equal(points, np.dstack([X, Y, LOSSES["vit-s0"]]))
    assert CliRunner().invoke(app, [*command, "-f", "accuracy"]).exit_code == 0
    for model, loss in LOSSES.items():
        points, _ = parse((tmp_path / f"s-{model}.vtk").read_text("ascii"))
        np.testing.assert_array_equal(points[..., 2], np.exp(-loss))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-a", "line"], "a result of 'line' has no field over x and y"),
        (["-a", "surface", "-f", "los"], "no field 'los' over x and y; did you mean 'loss'"),
        (["-a", "surface", "--by", "group"], "leave --by out"),
        (["-a", "surfaces"], "did you mean 'surface'"),
        (["-a", "surface", "--models", "x*"], "no results of models like x"),
    ],
)
def test_surfaces_that_are_not_there_are_named(
    surfaces: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    """Oracle: the words of the sentence, and no file."""
    run = CliRunner().invoke(app, ["figure", str(surfaces), *options, "-o", str(tmp_path / "s.vtk")])
    assert run.exit_code == 2 and words in " ".join(run.stderr.split())
    assert not list(tmp_path.iterdir())


def test_table_holds_what_is_known_of_each_model(store: Path, contents: Contents) -> None:
    """Oracle: the values of the fixture; a failed task is missing."""
    frame = landscape.table(store)
    assert list(frame.index) == [m.name for m in contents.models]
    assert frame.loc["vit-s0", ("model", "width")] == 24
    assert frame.loc["resnet-s1", ("spectrum", "λ max")] == pytest.approx(240.0)
    assert frame["fourier"].iloc[3].isna().all()


def test_compare_draws_results_on_the_same_axes(make: dict) -> None:
    """Oracle: one curve per result, called by its model or numbered where that is not enough."""
    results = [make["line"]("resnet-s0"), make["line"]("vit-s0")]
    figure = landscape.compare(results, figure="loss")
    assert {t.name for t in figure.data if t.showlegend} == {"resnet-s0", "vit-s0"}
    twice = landscape.compare([results[0], results[0]], figure="loss")
    assert {t.name for t in twice.data if t.showlegend} == {"resnet-s0 (1)", "resnet-s0 (2)"}
    with pytest.raises(InputError, match="nothing to compare"):
        landscape.compare([])
    with pytest.raises(InputError, match="no figure compares"):
        landscape.compare({"a": results[0], "b": make["spectrum"]("vit-s0")})
    assert (
        np.asarray(landscape.compare({"mine": results[0]}, "matplotlib", "loss").get_size_inches()).min() > 1
    )

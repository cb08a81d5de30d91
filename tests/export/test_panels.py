"""Panels of a store: which figures they are, and the command that writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from landscape.base.panels import panels_of
from landscape.cli.app import app
from landscape.errors import InputError
from landscape.export.figures import figures_of_store
from landscape.export.panels import panels_of_store


def test_figures_of_several_analyses_become_panels(store: Path) -> None:
    """Oracle: the figures drawn one by one: their axes, and their titles in the caption."""
    spec, _ = panels_of_store(store, ["line:loss", "spectrum"])
    (line,) = figures_of_store(store, "line", figure="loss")[0]
    spectrum = figures_of_store(store, "spectrum")[0][0]
    assert [p.y for p in panels_of(spec)][:2] == [line.y, spectrum.y]
    assert spec.caption.startswith(f"(a) {line.title}.") and f"(b) {spectrum.title}." in spec.caption


def test_the_command_letters_them_and_says_the_caption(store: Path, tmp_path: Path) -> None:
    """Oracle: a PDF of one page, and the letters in what is said."""
    path = tmp_path / "fig1.pdf"
    asked = ["figure", str(store), "-a", "line", "--panels", "loss", "-o", str(path)]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 0 and "(a)" in said.output
    assert path.read_bytes().startswith(b"%PDF")
    refused = CliRunner().invoke(app, ["figure", str(store), "--panels", "line"])
    assert refused.exit_code != 0 and "--output" in refused.output


def test_what_is_not_there_is_named(store: Path) -> None:
    """Oracle: sentences."""
    with pytest.raises(InputError, match="no panels"):
        panels_of_store(store, ["", " "])
    with pytest.raises(InputError, match="lime"):
        panels_of_store(store, ["line:lime"])

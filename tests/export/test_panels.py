"""Panels of a store: which figures they are, and the command that writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from landscape.base.panels import panels_of
from landscape.cli.app import app
from landscape.errors import InputError
from landscape.export.figures import figures_of_store
from landscape.export.panels import panels_of_store
from landscape.store import Store


def test_figures_of_several_analyses_become_panels(store: Path) -> None:
    """Oracle: the figures drawn one by one: their axes, and their titles in the caption."""
    spec, _ = panels_of_store(store, ["line:loss", "spectrum"])
    (line,) = figures_of_store(store, "line", figure="loss")[0]
    spectrum = figures_of_store(store, "spectrum")[0][0]
    assert [p.y for p in panels_of(spec)][:2] == [line.y, spectrum.y]
    assert spec.caption.startswith(f"(a) {line.title}.") and f"(b) {spectrum.title}." in spec.caption


def test_letters_of_the_caption_are_those_of_the_panels(make: dict, tmp_path: Path) -> None:
    """Oracle: letters on the picture, the model of each panel, and what each figure says, in order."""
    store = Store(tmp_path)
    for key, model in enumerate(("resnet-s0", "vit-s0")):
        height = (1 + key) * np.add.outer(np.linspace(-1, 1, 7) ** 2, np.linspace(-1, 1, 9) ** 2)
        store.write(make["surface"](model, height), f"{key:032d}")
        store.write(make["line"](model), f"{2 + key:032d}")
    spec, _ = panels_of_store(tmp_path, ["line:accuracy", "surface:loss", "line:loss"])
    assert [p.title for p in panels_of(spec)] == ["(a)", "(b) resnet-s0", "(c) vit-s0", "(d)"]
    accuracy, loss = (figures_of_store(tmp_path, "line", figure=n)[0][0] for n in ("accuracy", "loss"))
    surface = "(b, c) Loss surface: resnet-s0, vit-s0. Loss L(θ"
    assert spec.whole_caption.startswith(f"(a) {accuracy.title}. {accuracy.whole_caption} {surface}")
    assert spec.whole_caption.endswith(f" (d) {loss.title}. {loss.whole_caption}")
    assert accuracy.errors and str(accuracy.errors) in spec.whole_caption


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

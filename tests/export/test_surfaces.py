"""Surfaces of a store as files for ParaView."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from vtk_text import parse

from landscape.cli.app import app
from landscape.store import Store

LOSSES = {"resnet-s0": np.arange(6.0).reshape(2, 3) / 7, "vit-s0": np.arange(12.0).reshape(4, 3) / 3}


@pytest.fixture(scope="module")
def surfaces(make: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the surfaces of two models and one line."""
    made = Store(tmp_path_factory.mktemp("surfaces"))
    for key, (model, loss) in enumerate(LOSSES.items()):
        made.write(make["surface"](model, loss), f"{key:032d}")
    made.write(make["line"]("vit-s0"), f"{9:032d}")
    return made.directory


def test_figures_of_single_models_have_one_line(surfaces: Path) -> None:
    """Oracle: by hand, two models with one surface each beside the line of one; each by name if asked for."""
    every = CliRunner().invoke(app, ["figure", str(surfaces)]).output.splitlines()
    assert "surface loss-resnet-s0: Loss surface: resnet-s0, and 1 more like it" in every
    assert not any("loss-vit-s0" in line for line in every) and any(line[:5] == "line " for line in every)
    one = CliRunner().invoke(app, ["figure", str(surfaces), "-a", "surface"]).output.splitlines()
    assert [line for line in one if line.startswith("loss-vit-s0: ")] == ["loss-vit-s0: Loss surface: vit-s0"]


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

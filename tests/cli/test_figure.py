"""``landscape figure``: lists figures, draws them, and refuses what does not go together."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

import landscape
from landscape.cli.app import app
from landscape.store import SectionRecord, Snapshot, Store


@pytest.fixture
def store(tmp_path):
    x, y = torch.randn(8, 2), torch.zeros(8, dtype=torch.long)
    ds = landscape.line(landscape.Problem(torch.nn.Linear(2, 2), "cross_entropy", (x, y)), steps=2)
    home = Store(tmp_path / "results")
    home.write(ds.assign_attrs(label="line", model="m0"), "k")
    home.write_snapshot(Snapshot("z", (), (SectionRecord("line", "line", "line", {}, {"m0": "k"}),)))
    return home.directory


def call(*words):
    return CliRunner().invoke(app, ["figure", *map(str, words)])


def test_figures_are_listed_and_drawn(store, tmp_path):
    """Oracle: the file that is named, and the words on each."""
    listed = call(store, "-a", "line")
    assert listed.exit_code == 0, listed.output
    name = listed.output.split(":")[0]
    drawn = call(store, "-a", "line", "-f", name, "-o", tmp_path / "x.svg")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "x.svg").read_text().lstrip().startswith("<?xml")
    assert drawn.output.startswith("figure: ")


def test_what_does_not_go_together_is_said(store, tmp_path):
    out = call(store, "-a", "line", "-o", tmp_path / "x.vtk", "--by", "group")
    assert out.exit_code == 2
    assert "leave --by out" in out.stderr


def test_a_store_is_written_for_other_programs_and_a_wrong_ending_is_said(store, tmp_path):
    """Oracle: the row of the one model."""
    out = CliRunner().invoke(app, ["export", str(store), "-o", str(tmp_path / "t.csv")])
    assert out.exit_code == 0, out.output
    head, row = (tmp_path / "t.csv").read_text().splitlines()
    assert head.startswith("model,") and row.startswith("m0,")
    out = CliRunner().invoke(app, ["export", str(store), "-o", str(tmp_path / "t.doc")])
    assert out.exit_code == 2
    assert "must end in" in out.stderr

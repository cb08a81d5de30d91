"""``landscape export``."""

from __future__ import annotations

import torch
from typer.testing import CliRunner

import landscape
from landscape.cli.app import app
from landscape.store import SectionRecord, Snapshot, Store


def test_a_store_is_written_and_a_wrong_ending_is_said(tmp_path):
    """Oracle: the row of the one model."""
    x, y = torch.randn(8, 2), torch.zeros(8, dtype=torch.long)
    ds = landscape.line(landscape.Problem(torch.nn.Linear(2, 2), "cross_entropy", (x, y)), steps=2)
    home = Store(tmp_path / "results")
    home.write(ds.assign_attrs(label="line", model="m0"), "k")
    home.write_snapshot(Snapshot("z", (), (SectionRecord("line", "line", "line", {}, {"m0": "k"}),)))
    out = CliRunner().invoke(app, ["export", str(home.directory), "-o", str(tmp_path / "t.csv")])
    assert out.exit_code == 0, out.output
    head, row = (tmp_path / "t.csv").read_text().splitlines()
    assert head.startswith("model,") and row.startswith("m0,")
    out = CliRunner().invoke(app, ["export", str(home.directory), "-o", str(tmp_path / "t.doc")])
    assert out.exit_code == 2
    assert "must end in" in out.stderr

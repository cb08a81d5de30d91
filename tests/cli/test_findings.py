"""``landscape findings`` on a made-up store."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import landscape
from landscape.cli.app import app
from landscape.store import Store
from landscape.store.records import ModelRecord, Snapshot


def test_the_command_has_the_sentences_and_the_table(tmp_path: Path) -> None:
    """Oracle: `landscape.findings` of the same store; a wrong group is one sentence."""
    models = tuple(
        ModelRecord(f"{g}{s}", g, s, {}, {"test_accuracy": 0.9 + 0.01 * s + i, "loss": s - i})
        for i, g in enumerate("ab")
        for s in range(3)
    )
    Store(tmp_path).write_snapshot(Snapshot("zoo", models, ()))
    csv = tmp_path / "all.csv"
    done = CliRunner().invoke(app, ["findings", str(tmp_path), "-o", str(csv)])
    assert done.exit_code == 0, done.output
    assert "b has the higher test accuracy: 1.91" in " ".join(done.output.split())
    frame = landscape.findings(tmp_path)
    assert pd.read_csv(csv)["g"].tolist() == pytest.approx(frame["g"].tolist()) and len(frame) == 1
    wrong = CliRunner().invoke(app, ["findings", str(tmp_path), "--group", "a", "--group", "x"])
    assert wrong.exit_code == 2 and "there is no group 'x'" in wrong.output

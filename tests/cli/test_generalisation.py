"""``landscape generalisation`` of a table and of a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import landscape
from landscape.cli.app import app
from landscape.store import Store
from landscape.store.records import ModelRecord, Snapshot


def test_the_command_is_the_function_of_a_file_and_of_a_store(tmp_path: Path) -> None:
    """Oracle: `landscape.generalisation` of the same numbers."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"width": [8, 8, 16, 16, 32, 32], "test_accuracy": rng.random(6), "norm": range(6)})
    frame.to_csv(tmp_path / "models.csv", index=False)
    expected = landscape.generalisation(frame)
    out = tmp_path / "ranks.csv"
    done = CliRunner().invoke(app, ["generalisation", str(tmp_path / "models.csv"), "-o", str(out)])
    assert done.exit_code == 0, done.output
    found = pd.read_csv(out)
    assert found["metric"].tolist() == expected["metric"].values.tolist()
    assert found["tau"].tolist() == pytest.approx(expected["tau"].values.tolist())
    assert "τ, norm" in done.output
    models = tuple(
        ModelRecord(
            f"m{i}", "", i, {"width": int(row.width)}, {"test_accuracy": row.test_accuracy, "norm": i}
        )
        for i, row in enumerate(frame.itertuples())
    )
    Store(tmp_path / "store").write_snapshot(Snapshot("zoo", models, ()))
    done = CliRunner().invoke(app, ["generalisation", str(tmp_path / "store")])
    assert done.exit_code == 0 and "norm" in done.output, done.output
    wrong = CliRunner().invoke(app, ["generalisation", str(tmp_path / "none.csv")])
    assert wrong.exit_code == 2 and "neither the folder of a store nor a .csv" in " ".join(
        wrong.output.split()
    )

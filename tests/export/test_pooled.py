"""Models of several stores in one table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import landscape
from landscape.cli.app import app
from landscape.errors import InputError
from landscape.export.pooled import pooled
from landscape.store import Store
from landscape.store.records import ModelRecord, Snapshot

RNG = np.random.default_rng(0)
STUDIES = {
    name: pd.DataFrame(
        {"width": np.repeat([8, 16, 32], 2), "test_accuracy": RNG.random(6), "norm": RNG.random(6)}
    )
    for name in ("first", "second")
}


@pytest.fixture
def outputs(tmp_path: Path) -> list[Path]:
    """Two outputs; the models of the first have two stores, and another number in the second of these."""
    for name, frame in STUDIES.items():
        for data in ("test", "train") if name == "first" else ("test",):
            models = tuple(
                ModelRecord(
                    f"m{i}",
                    f"w{row.width}",
                    i % 2,
                    {"width": str(row.width)},
                    {"test_accuracy": row.test_accuracy, "norm": row.norm},
                )
                for i, row in enumerate(frame.itertuples())
            )
            Store(tmp_path / name / "results" / data).write_snapshot(Snapshot("zoo", models, ()))
    return [tmp_path / name for name in STUDIES]


def test_the_command_ranks_the_models_of_all_studies(outputs: list[Path], tmp_path: Path) -> None:
    """Oracle: `landscape.generalisation` of the frames, put together by hand; each model once."""
    found = pooled(outputs)
    assert found.index.tolist() == [f"{name}/m{i}" for name in STUDIES for i in range(6)]
    both = pd.concat([frame.assign(study=name) for name, frame in STUDIES.items()], ignore_index=True)
    want = landscape.generalisation(both, settings=("study", "width"))
    out = tmp_path / "ranks.csv"
    done = CliRunner().invoke(
        app,
        ["generalisation", *map(str, outputs), "--metric", "norm", "-o", str(out)],
    )
    assert done.exit_code == 0, done.output
    row = pd.read_csv(out).set_index("metric").loc["training: norm"]
    assert row["models"] == 12
    assert row["tau"] == pytest.approx(float(want["tau"].sel(metric="norm")))
    assert row["tau_low"] == pytest.approx(float(want["tau_low"].sel(metric="norm")))


def test_what_holds_no_models_or_has_no_name_of_its_own_is_refused(outputs: list[Path], tmp_path: Path):
    """Oracle: the sentences."""
    (tmp_path / "other" / "first" / "results").mkdir(parents=True)
    with pytest.raises(InputError, match="two of the folders are called 'first'"):
        pooled([outputs[0], tmp_path / "other" / "first"])
    with pytest.raises(InputError, match="neither a store with models nor the output of a study"):
        pooled([tmp_path / "other" / "first"])

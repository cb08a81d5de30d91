"""Networks of several studies, measured alike."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

import landscape
from landscape.errors import InputError
from landscape.export.pooled import pooled
from landscape.imports import resolve

SCRIPTS = Path(__file__).parents[2] / "analysis_scripts"


@pytest.mark.slow
@pytest.mark.study
@pytest.mark.timeout(1200)
def test_networks_of_two_runs_are_measured_alike_and_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Oracle: scipy's τ of the pooled table; the weights are those of the runs, none trained anew."""
    runs = [tmp_path / name for name in ("dign_vat", "aliasing")]
    for run in runs:
        resolve(f"{run.name}:STUDY", "study", SCRIPTS).run(size="quick", seeds=2, jobs=1, out=run)
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/checkpoints/*.safetensors")}
    out = tmp_path / "all"
    main = resolve("all_studies:main", "function", SCRIPTS)
    monkeypatch.setattr(
        sys, "argv", ["all_studies.py", *map(str, runs), "-o", str(out), "--outcome", "test_loss"]
    )
    main()
    assert weights == {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/checkpoints/*.safetensors")}
    ranked, table = landscape.open(out / "ranked.h5"), pooled([out / run.name for run in runs])
    assert len(table) == len(weights) == 20
    for metric in ("training: train_loss", "spectrum: λ max"):
        want = kendalltau(table[metric].astype(float), table["training: test_loss"].astype(float)).statistic
        np.testing.assert_allclose(ranked["tau"].sel(metric=metric), want)
    assert {str(name).partition(":")[0] for name in ranked["metric"].values} == {
        *("training", "measures", "weights", "spectrum", "collapse")
    }
    assert (out / "all_studies_tau.png").is_file()


def test_a_run_that_did_not_finish_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Oracle: the sentence."""
    main = resolve("all_studies:main", "function", SCRIPTS)
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "aliasing"), "-o", str(tmp_path / "all")])
    with pytest.raises(InputError, match="aliasing is no finished run of a study"):
        main()

"""The size of natural images: run from packed JPEG files to verdicts, on fewer and shorter trainings."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import landscape
from landscape.imports import resolve
from landscape.store import read_contents
from landscape.studies import Data, Size, Study

SCRIPTS = Path(__file__).parents[2] / "analysis_scripts"
LESS: dict[str, dict[str, Any]] = {
    "how_do_vits_work": {"epochs": {"cnn": 1, "vit": 1}, "few": 32, "images": 8},
    "spatial_smoothing": {"vgg_epochs": 1, "images": 8, "samples": (1, 2, 4), "surface_evaluations": 25},
}
"""What is smaller here than in a run, by study; the networks are the same."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty images of ten colours with noise, for training and for testing."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        labels, files = np.arange(60, dtype=np.uint8) % 10, []
        for label in labels:
            file = io.BytesIO()
            pixels = np.clip(rng.normal([25 * label, 120, 200], 20, (32, 32, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=95)
            files.append(np.frombuffer(file.getvalue(), np.uint8))
        np.savez(
            tmp_path / f"cifar10_{split}.npz",
            jpeg=np.concatenate(files),
            offsets=np.cumsum([0, *map(len, files)]),
            labels=labels,
        )
    return tmp_path


def _smaller(name: str) -> Study:
    """A study whose size of natural images is all that of a run, but for how much is trained and measured."""
    study = resolve(f"{name}:STUDY", "study", SCRIPTS)
    given = vars(study.sizes["natural"]) | {
        "data": Data.natural(48, 20),
        "hessian_batches": 1,
        "eigenvalues": 2,
    }
    given["training"] = {**given["training"], "epochs": 1}
    study.sizes["natural"] = Size(**given | LESS[name])
    return study


@pytest.mark.slow
@pytest.mark.study
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", LESS)
def test_run_on_packed_images(name: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    """Oracle: a verdict for every finding, no failure; JPEG is told; the paper's weight decay and crops."""
    study = _smaller(name)
    run = study.run(size="natural", seeds=study.least_seeds, jobs=1, data=folder, out=folder / "out")
    assert " 0 failed" in capsys.readouterr().out and not run.failures
    assert all(np.isfinite(claim.effect) for claim in run.claims)
    assert len(landscape.open(folder / "out" / "claims.h5")["claim"]) == len(run.claims) > 20
    captions = (folder / "out" / "figures" / f"{study.name}_captions.md").read_text("utf-8").splitlines()
    assert captions and all("JPEG" in line for line in captions)
    assert "JPEG" in (folder / "out" / "claims.md").read_text("utf-8")
    sections = read_contents(folder / "out" / "results" / "train").sections
    spectra = [ds for s in sections if s.analysis == "batch_spectra" for ds in s.results.values()]
    assert len(spectra) >= study.least_seeds
    for ds in spectra:
        assert ds.attrs["weight_decay"] == (0.05 if name == "how_do_vits_work" else 5e-4)
        assert json.loads(ds.attrs["parameters"])["augment"] == "shift+flip"

"""The guide's manifest has every key that a manifest takes, and is read as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from landscape.zoo import manifest
from landscape.zoo.problem_options import ProblemOptions

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide.md"


def blocks():
    """The manifest, and the data that has a name."""
    part = GUIDE.read_text("utf-8").split("## Every key of a manifest")[1]
    return re.findall(r"```toml\n(.*?)```", part, re.DOTALL)[:2]


def block():
    return blocks()[0]


def test_every_key_is_there():
    """Oracle: the fields of the classes that read manifests; predictives have a section of their own."""
    tables = tomllib.loads(block())
    assert set(manifest._Manifest.model_fields) - set(tables) == {"predictives"}
    for table, kind in (("model", manifest._Builder), ("problem", ProblemOptions)):
        assert set(tables[table]) == set(kind.model_fields), table
    named = re.findall(r"^#? ?(\w+) = ", blocks()[1], re.MULTILINE)  # what is for texts stands in comments
    assert set(tables["data"]) | set(named) == set(manifest._Data.model_fields)
    checkpoints = {key for entry in tables["checkpoints"] for key in entry}
    # named beside `state` in a comment
    assert set(manifest._Checkpoint.model_fields) - checkpoints == {"prefix", "loader"}
    sections = {key for section in tables["analyses"].values() for key in section}
    assert set(manifest._Section.model_fields) <= sections


def test_data_by_name_is_read_as_it_stands(tmp_path):
    """Oracle: the entries of the guide, beside a checkpoint."""
    (tmp_path / "a.pt").touch()
    checkpoint = '[model]\nbuilder = "m:f"\n[[checkpoints]]\npath = "a.pt"\n'
    (tmp_path / "zoo.toml").write_text(blocks()[1] + checkpoint)
    data = manifest.read_manifest(tmp_path / "zoo.toml").data
    assert data.reference == "imagefolder:photos/val" and data.kwargs["examples"] == 512
    assert data.kwargs["preprocess"]["resize"] == 256


def test_it_is_read_as_it_stands(tmp_path):
    """Oracle: the models that its globs find among files made for it."""
    files = ["depth20-s0.pt", "depth20-s1.pt", "depth32-s0.pt", "depth44-s0.pth.tar", "run-epoch-1.pt"]
    for file in (*files, "depth56/model.safetensors.index.json"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "zoo.toml").write_text(block())
    spec = manifest.read_manifest(tmp_path / "zoo.toml")
    assert len(spec.models) == 6
    assert {m.group for m in spec.models} == {"depth 20", "depth 32", "depth 44", "depth 56", "run"}
    assert spec.models[-2].made_by.kwargs == {}
    assert [s.analysis for s in spec.sections] == ["spectrum", "surface", "cka", "batch_spectra"]

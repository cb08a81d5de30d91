"""The cache of the Hub: revisions of one repository as a zoo, in folders as huggingface_hub keeps them."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from landscape.errors import InputError
from landscape.zoo import scan
from landscape.zoo.layouts.hub_cache import cached, revision_of

REVISIONS = {"main": 3, "step1000": 1, "step2000": 2, "a1b2c3d4e5" * 4: 4}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with four revisions of one repository, of which the last was asked for by its commit."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--org--small-net"
    (repository / "blobs").mkdir(parents=True)
    (repository / "refs").mkdir()
    for revision, value in REVISIONS.items():
        commit = revision if len(revision) == 40 else hashlib.sha1(revision.encode()).hexdigest()
        if commit != revision:
            (repository / "refs" / revision).write_text(commit)
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        save_file({"weight": torch.full((2, 3), float(value))}, tmp_path / "file")
        config = json.dumps({"architectures": ["Net"]}).encode()
        for name, content in (
            ("model.safetensors", (tmp_path / "file").read_bytes()),
            ("config.json", config),
        ):
            blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content)
            (snapshot / name).symlink_to(f"../../blobs/{blob.name}")
        (tmp_path / "file").unlink()
    return tmp_path


def test_revisions_are_models_and_steps_are_moments(cache):
    """Oracle: the weights that each revision was made with."""
    zoo = scan("hf:org/small-net")
    found = {m.name: m for m in zoo.spec.models}
    values = {name: float(load_file(m.path)["weight"][0, 0]) for name, m in found.items()}
    assert values == {"main": 3.0, "step1000": 1.0, "step2000": 2.0, "a1b2c3d4": 4.0}
    steps = [m for m in found.values() if "step" in m.tags]
    assert sorted(m.tags["step"] for m in steps) == [1000, 2000]
    assert len({m.group for m in steps}) == 1
    assert {m.tags.get("revision") for m in found.values()} == {None, "main", "a1b2c3d4"}
    assert all(m.layout == "hugging face" for m in found.values())


def test_the_cache_is_one_that_huggingface_hub_reads(cache):
    """Oracle: huggingface_hub itself, without the network."""
    hub = pytest.importorskip("huggingface_hub")
    (repository,) = hub.scan_cache_dir(cache).repos
    assert (repository.repo_id, len(repository.revisions)) == ("org/small-net", 4)
    for revision, value in REVISIONS.items():
        folder = hub.snapshot_download(
            "org/small-net", revision=revision, cache_dir=cache, local_files_only=True
        )
        model = next(m for m in scan(folder).spec.models)
        assert float(load_file(model.path)["weight"][0, 0]) == value


def test_what_is_not_there_is_said(cache):
    with pytest.raises(InputError, match="holds nothing of 'org/other', and landscape downloads nothing"):
        cached("hf:org/other")
    for name in ("hf:", "hf:a/b/c", "hf:../../etc"):
        with pytest.raises(InputError, match="names no repository of the Hub"):
            scan(name)
    assert revision_of(cache) is None
    assert revision_of(cache / "models--org--small-net" / "refs" / "x") is None

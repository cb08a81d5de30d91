"""Checkpoints of several files."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from landscape.errors import CheckpointError
from landscape.store import Store, read_contents
from landscape.zoo import Zoo, scan
from landscape.zoo.checkpoint import file_sha256
from landscape.zoo.reading.parts import files_of, parts_of
from landscape.zoo.reading.weights import read_whole


def sharded(folder, state, kind="safetensors"):
    """Weights in two files with their index, as Hugging Face lays them out."""
    folder.mkdir(exist_ok=True)
    names = sorted(state)
    stem = "model" if kind == "safetensors" else "pytorch_model"
    table = {}
    for number, keys in enumerate((names[:2], names[2:]), 1):
        file = folder / f"{stem}-0000{number}-of-00002.{kind}"
        part = {k: state[k] for k in keys}
        save_file(part, file) if kind == "safetensors" else torch.save(part, file)
        table |= dict.fromkeys(keys, file.name)
    index = folder / f"{stem}.{kind}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": table}))
    return index


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("config", [True, False])
def test_parts_from_scan_to_result(folder, kind, config):
    """Oracle: the same weights in one file give the same result, bit for bit."""
    whole = folder.add("whole")
    index = sharded(folder.root / "parts", torch.load(whole, weights_only=True), kind)
    if config:
        (index.parent / "config.json").write_text("{}")
    found = {m.name: m for m in scan(folder.root).spec.models}
    assert set(found) == {"whole", "parts"}
    folder.entries.append(f'[[checkpoints]]\nname = "parts"\npath = "parts/{index.name}"')
    assert Zoo.from_manifest(folder.write("[analyses.line]\nsteps = 3")).run().failed == ()
    (section,) = read_contents(folder.root / "results").sections
    a, b = section.results.values()
    assert a["loss"].values.tobytes() == b["loss"].values.tobytes()


def test_a_part_that_changes_makes_another_checkpoint(tmp_path):
    index = sharded(tmp_path / "p", {n: torch.ones(2) for n in "abc"})
    before = file_sha256(index)
    save_file({"c": torch.zeros(2)}, tmp_path / "p" / "model-00002-of-00002.safetensors")
    assert file_sha256(index) != before
    assert len(files_of(index)) == 3


def test_what_is_wrong_with_parts_is_said(tmp_path):
    index = sharded(tmp_path / "p", {n: torch.ones(2) for n in "abc"})
    (tmp_path / "p" / "model-00002-of-00002.safetensors").rename(tmp_path / "away")
    with pytest.raises(CheckpointError, match=r"model-00002-of-00002\.safetensors' does not exist"):
        read_whole(index)
    save_file({"d": torch.ones(2)}, tmp_path / "p" / "model-00002-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks 1 tensors that its index names \(c\)"):
        read_whole(index)
    for name in ("../secret", "/etc/passwd", "a\\b", 3):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(CheckpointError, match="names a file elsewhere"):
            parts_of(index)
    for text in ("{", "[]", '{"weight_map": []}'):
        index.write_text(text)
        with pytest.raises(CheckpointError, match=r"is no index|is no JSON"):
            parts_of(index)
    lost = scan(tmp_path).skipped
    assert any("without the index" in why for why in lost.values())


def test_a_loader_of_ones_own(folder):
    """Oracle: the weights by torch's own loader; what a loader gets wrong is said."""
    path = folder.add("m0", 'loader = "loads:load"')
    state = torch.load(path, weights_only=True)
    path.write_bytes(b"not of torch: " + path.read_bytes())
    (folder.root / "loads.py").write_text(
        "import io, torch\nfrom pathlib import Path\n"
        "def load(path):\n"
        "    return torch.load(io.BytesIO(Path(path).read_bytes()[14:]), weights_only=True)\n"
        "def nothing(path):\n    return 3\n"
        "def raising(path):\n    raise OSError('no such format')\n"
    )
    manifest = folder.write()
    zoo = Zoo.from_manifest(manifest)
    plan, loader = zoo._plan(None, Store(zoo.store), False)
    module = loader.module(plan.tasks[0].members[0])
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert zoo.run().failed == ()
    assert read_contents(zoo.store).missing == 0
    for name, says in (
        ("nothing", "returned a int without weights"),
        ("raising", "no such format"),
        ("no", "no"),
    ):
        manifest.write_text(manifest.read_text().replace("loads:load", f"loads:{name}"))
        (failed,) = Zoo.from_manifest(manifest).run().failed
        assert says in failed.error
        manifest.write_text(manifest.read_text().replace(f"loads:{name}", "loads:load"))

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from landscape.errors import CheckpointError, StoreError
from landscape.reference.models import mlp, resnet
from landscape.reference.training import checkpoints as files

CPU = torch.device("cpu")


def test_weights_and_notes_come_back(tmp_path):
    """Oracle: the tensors and notes that went in."""
    torch.manual_seed(0)
    saved, loaded = resnet(width=2), resnet(width=2)
    files.save_weights(saved, tmp_path / "sub" / "a.safetensors", {"metrics": {"loss": 0.5}})
    files.load_weights(loaded, tmp_path / "sub" / "a.safetensors")
    for name, tensor in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert files.read_notes(tmp_path / "sub" / "a.safetensors") == {"metrics": {"loss": 0.5}}


def test_same_weights_give_the_same_bytes(tmp_path):
    """Oracle: file bytes; keys of results are hashes of checkpoints, so these must not wander."""
    model = mlp((3, 2))
    contents = set()
    for i in range(8):
        path = tmp_path / f"{i}.safetensors"
        files.save_weights(model, path, {"b": 1, "a": {"z": 2.0, "y": "x"}})
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_channels_last_and_tied_weights_are_saved(tmp_path):
    """Oracle: values after loading; safetensors itself refuses shared or strided tensors."""
    model = torch.nn.ModuleDict({"a": torch.nn.Conv2d(2, 3, 3), "b": torch.nn.Conv2d(2, 3, 3)})
    model = model.to(memory_format=torch.channels_last)
    model["b"].weight = model["a"].weight
    files.save_weights(model, tmp_path / "a.safetensors", {})
    other = torch.nn.ModuleDict({"a": torch.nn.Conv2d(2, 3, 3), "b": torch.nn.Conv2d(2, 3, 3)})
    files.load_weights(other, tmp_path / "a.safetensors")
    assert torch.equal(other["a"].weight, model["a"].weight)
    assert torch.equal(other["b"].weight, model["a"].weight)


def test_a_kept_file_holds_the_optimiser_beside_the_weights(tmp_path):
    """Oracle: the objects that were saved, read by torch; as safetensors the weights alone."""
    model = nn.Linear(3, 2)
    solver = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    solver.step()
    notes = {"identity": {"seed": 1}, "epoch": 4}
    files.save_kept(model, solver, tmp_path / "a.pt", notes)
    read = torch.load(tmp_path / "a.pt", weights_only=True)
    assert torch.equal(read["model"]["weight"], model.weight)
    assert read["optimizer"]["param_groups"][0]["lr"] == 0.1 and len(read["optimizer"]["state"]) == 2
    assert files.read_notes(tmp_path / "a.pt")["identity"] == {"seed": 1}
    files.save_kept(model, solver, tmp_path / "a.safetensors", notes)
    assert files.read_notes(tmp_path / "a.safetensors") == notes


def test_foreign_or_absent_files_have_no_notes(tmp_path):
    """Oracle: nothing was noted in either."""
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, tmp_path / "foreign.safetensors")
    assert files.read_notes(tmp_path / "foreign.safetensors") is None
    assert files.read_notes(tmp_path / "absent.safetensors") is None
    assert files.load_state(tmp_path / "absent.resume", CPU) is None


@pytest.mark.parametrize("kept", [0, 4, 40, -1])
def test_damaged_files_are_named(tmp_path, kept):
    """Oracle: truncation at several lengths must give the sentence, never a bare library error."""
    weights, state = tmp_path / "a.safetensors", tmp_path / "a.resume"
    files.save_weights(mlp((3, 2)), weights, {"x": 1})
    files.save_state({"x": torch.ones(3)}, state)
    for path in (weights, state):
        path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"a\.safetensors is damaged"):
        files.read_notes(weights)
    with pytest.raises(CheckpointError, match=r"a\.resume.* is damaged"):
        files.load_state(state, CPU)


class Intruder:
    def __reduce__(self):
        return Path.touch, (Path("intruded"),)


def test_code_in_a_state_is_not_run(tmp_path, monkeypatch):
    """Oracle: the file that the planted code would make."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.resume").write_bytes(pickle.dumps(Intruder()))
    with pytest.raises(CheckpointError):
        files.load_state(tmp_path / "a.resume", CPU)
    assert not Path("intruded").exists()


def test_failed_write_keeps_the_old_file_and_no_half_one(tmp_path, monkeypatch):
    """Oracle: the directory's content after a disk that fills up while writing."""
    path = tmp_path / "zoo.toml"
    files.write_atomically(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StoreError, match=r"zoo\.toml \(No space left on device\)"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_place_is_named(tmp_path):
    """Oracle: a file stands where the directory should be."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Cannot write"):
        files.write_atomically(tmp_path / "file" / "a", b"x")


def test_a_whole_state_is_not_called_damaged(tmp_path, monkeypatch):
    """Oracle: the file is as it was saved, whatever loading it raises."""
    state = tmp_path / "a.resume"
    files.save_state({"x": torch.ones(3)}, state)
    for error, words in (
        (RuntimeError("no such device"), "is whole, but cannot be loaded here: RuntimeError: no such device"),
        (PermissionError(13, "Permission denied"), "cannot be read: Permission denied"),
    ):

        def fail(*args, error=error, **options):
            raise error

        monkeypatch.setattr(torch, "load", fail)
        with pytest.raises(CheckpointError, match=words):
            files.load_state(state, CPU)

"""From file to weights: what is read as data, what is refused, and advice that works when it is followed."""

from __future__ import annotations

import os
import pickle
import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

from landscape.errors import CheckpointError
from landscape.zoo.reading.weights import read_whole

STATE = {"w": torch.arange(4.0)}


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


def test_what_stayed_a_stub_is_told(tmp_path):
    """Oracle: the names in the file, and the folder that was not made."""
    torch.save({"model": STATE, "x": Evil(tmp_path / "mark")}, tmp_path / "x.pt")
    read = read_whole(tmp_path / "x.pt")
    assert torch.equal(read.state["w"], STATE["w"])
    assert read.unread == (f"{os.mkdir.__module__}.mkdir",)
    assert not (tmp_path / "mark").exists()


def test_weights_as_arrays(tmp_path):
    """Oracle: the numbers."""
    torch.save({k: v.numpy() for k, v in STATE.items()}, tmp_path / "x.pt")
    (tmp_path / "y.pkl").write_bytes(pickle.dumps({"model": {k: v.numpy() for k, v in STATE.items()}}, 4))
    for name in ("x.pt", "y.pkl"):
        assert torch.equal(read_whole(tmp_path / name).state["w"], STATE["w"])


@pytest.mark.parametrize("key", ["state_dict", "model"])
@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_a_mapping_that_holds_itself(key, how, tmp_path):
    """Oracle: built so; the search ends."""
    value: dict = {}
    value[key] = value
    path = tmp_path / "x.pt"
    if how == "pickle":
        path.write_bytes(pickle.dumps(value, 2))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(CheckpointError, match="its mappings hold one another"):
        read_whole(path)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", ["sparse", "quantised"])
def test_tensors_that_only_torch_can_make(kind, tmp_path):
    """Oracle: torch's own loader of the same file."""
    tensor = (
        torch.eye(3).to_sparse()
        if kind == "sparse"
        else torch.quantize_per_tensor(torch.ones(3), 0.5, 0, torch.qint8)
    )
    torch.save({"a": torch.ones(2), "t": tensor}, tmp_path / "x.pt")
    read = read_whole(tmp_path / "x.pt")
    assert torch.equal(
        read.state["t"].to_dense() if kind == "sparse" else read.state["t"].dequantize(),
        (torch.eye(3) if kind == "sparse" else torch.ones(3)),
    )


class Holder:
    """Weights that stand where only a class knows."""

    def __init__(self):
        self.state = STATE

    def __getitem__(self, key):
        return self.state[key]


def test_the_advice_works_when_followed_and_ends(tmp_path, monkeypatch):
    """Oracle: every name in the advice is accepted; what then stands in the way is said without advice."""
    (tmp_path / "holders.py").write_text("class Holder:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import holders

    held = holders.Holder()
    held.state = tuple(STATE.values())  # with their names they would be found
    torch.save({"model": held}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="is refused: its weights stand behind") as caught:
        read_whole(tmp_path / "x.pt")
    names = re.findall(r'"([^"]+)"', re.search(r"allow = \[(.*?)\]", str(caught.value))[1])
    assert names == ["holders.Holder"]
    with pytest.raises(CheckpointError, match="holds no tensors") as caught:
        read_whole(tmp_path / "x.pt", allow=names)
    assert "allow" not in str(caught.value)
    del sys.modules["holders"]


class Entries(dict):
    """A mapping of a class of someone's own."""


def test_mappings_of_other_classes_are_open(tmp_path):
    """Oracle: the weights in it."""
    torch.save({"model": Entries(STATE), "args": Entries(lr=0.5)}, tmp_path / "x.pt")
    assert torch.equal(read_whole(tmp_path / "x.pt").state["w"], STATE["w"])


def test_what_is_no_regular_file(tmp_path):
    """Oracle: a named pipe, which nobody writes to."""
    os.mkfifo(tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="is no regular file"):
        read_whole(tmp_path / "x.pt")


def test_a_module_within_a_mapping_within_a_module(tmp_path):
    """Oracle: the module's own ``state_dict``."""
    model = nn.Linear(2, 2)
    torch.save({"model": {"state_dict": model}, "n": np.int64(3)}, tmp_path / "x.pt")
    read = read_whole(tmp_path / "x.pt")
    assert list(read.state) == ["weight", "bias"]
    assert read.beside == {"n": 3}

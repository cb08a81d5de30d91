"""Names in pickles, found without running them."""

from __future__ import annotations

import argparse
import datetime
import pickle

import pytest
import torch

from landscape.zoo.reading.pickle_globals import unsafe_globals

CONTENT = {"x": torch.zeros(2), "a": argparse.Namespace(b=1), "t": datetime.timedelta(1)}
NAMES = ["argparse.Namespace", "datetime.timedelta"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_form_of_file_names_the_same(zipped, protocol, tmp_path):
    """Oracle: the two classes that were put into the file."""
    path = tmp_path / "x.pt"
    torch.save(CONTENT, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert unsafe_globals(path) == NAMES


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles(protocol, tmp_path):
    """Oracle: as above, without tensors."""
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({k: CONTENT[k] for k in "at"}, protocol=protocol))
    found = set(unsafe_globals(tmp_path / "x.pkl"))
    assert set(NAMES) <= found
    assert found <= {
        *NAMES,
        "copyreg._reconstructor",
        "copy_reg._reconstructor",
        "builtins.object",
        "__builtin__.object",
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_alone_need_nothing_else(zipped, tmp_path):
    """Oracle: torch loads the same file with ``weights_only``."""
    path = tmp_path / "x.pt"
    layer = torch.nn.Linear(2, 2)
    torch.save(
        {"a": layer.state_dict(), "b": layer.weight, "c": torch.Size([1])},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    assert unsafe_globals(path) == []
    assert "a" in torch.load(path, weights_only=True)


def test_a_damaged_file_gives_what_comes_before_the_damage(tmp_path):
    """Oracle: the name stands before the cut; a file that is missing names nothing."""
    data = pickle.dumps([argparse.Namespace(b=1), "x" * 100, datetime.timedelta(1)], protocol=2)
    (tmp_path / "x.pkl").write_bytes(data[: data.index(b"xxx")])
    assert "argparse.Namespace" in unsafe_globals(tmp_path / "x.pkl")
    assert unsafe_globals(tmp_path / "none.pkl") == []

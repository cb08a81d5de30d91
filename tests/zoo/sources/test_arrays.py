"""Arrays of files: which is which, and that no pickle is run."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.zoo.sources.arrays import chosen, from_npy, from_npz, from_pt

X, Y = np.arange(12.0).reshape(4, 3), np.array([0, 1, 0, 1])


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("mark",))


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", images=X, labels=Y)
    x, y = from_npz(tmp_path / "a.npz", None, None)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    np.savez(tmp_path / "b.npz", foo=X, bar=Y)
    with pytest.raises(InputError, match=r"which are its inputs; name one of what it holds \(foo, bar\)"):
        from_npz(tmp_path / "b.npz", None, None)
    np.testing.assert_array_equal(from_npz(tmp_path / "b.npz", "foo", "bar")[1], Y)
    with pytest.raises(InputError, match="holds no 'baz'"):
        from_npz(tmp_path / "b.npz", "baz", "bar")


def test_npy_and_its_partner(tmp_path):
    np.save(tmp_path / "x_test.npy", X)
    with pytest.raises(InputError, match="nothing says which file holds the targets"):
        from_npy(tmp_path / "x_test.npy", None, tmp_path)
    np.save(tmp_path / "y_test.npy", Y)
    np.testing.assert_array_equal(from_npy(tmp_path / "x_test.npy", None, tmp_path)[1], Y)


def test_pt_by_the_safe_reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": torch.tensor(X), "y": torch.tensor(Y)}, "a.pt")
    assert torch.equal(torch.as_tensor(from_pt(tmp_path / "a.pt", None, None)[1]), torch.tensor(Y))
    torch.save({"x": Malicious(), "y": torch.tensor(Y)}, "evil.pt")
    with pytest.raises(InputError):
        from_pt(tmp_path / "evil.pt", None, None)
    assert not (tmp_path / "mark").exists()


def test_arrays_of_objects_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", x=np.array([Malicious()], dtype=object), y=Y)
    with pytest.raises(InputError, match="cannot be read"):
        from_npz(tmp_path / "a.npz", None, None)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("read", [lambda f: from_npz(f, None, None), lambda f: from_npy(f, "y", f.parent)])
def test_files_that_are_none(tmp_path, read):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "bad")


def test_usual_names_come_in_order():
    assert chosen({"y": 0, "data": 0, "x": 0}, None, None, "a") == ("x", "y")

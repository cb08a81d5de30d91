"""Whole modules without their classes, and single values."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from landscape.zoo.reading.archive import read_inert
from landscape.zoo.reading.modules import as_tensor, module_state, scalar_of
from landscape.zoo.reading.stubs import DamagedError, RefusedError, Stub


def test_a_stub_of_a_module_has_its_state_dict(tmp_path):
    """Oracle: the module's own ``state_dict``, in its order."""
    inner = nn.Sequential(nn.Linear(2, 3, bias=False), nn.BatchNorm1d(3))
    model = nn.ModuleDict(
        {"a": inner, "b": nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), "c": inner}
    )
    model.register_buffer("kept", torch.ones(1))
    model.register_buffer("passing", torch.ones(1), persistent=False)
    torch.save(nn.Sequential(inner, nn.LSTM(2, 2)), tmp_path / "x.pt")
    torch.save(inner, tmp_path / "y.pt")
    for name, module in (("x.pt", torch.load(tmp_path / "x.pt", weights_only=False)), ("y.pt", inner)):
        state = module_state(read_inert(tmp_path / name).value)
        assert list(state) == list(module.state_dict())
        assert all(torch.equal(state[k], v) for k, v in module.state_dict().items())


def test_modules_that_hold_one_another_are_refused():
    """Oracle: built so, once in a circle and once by doubling."""
    circle = Stub("a.Net")
    circle.build({"_parameters": {}, "_modules": {"self": circle}})
    doubling = Stub("a.Net")
    doubling.build({"_parameters": {"w": torch.zeros(1)}})
    for _ in range(60):
        outer = Stub("a.Net")
        outer.build({"_parameters": {}, "_modules": {"a": doubling, "b": doubling}})
        doubling = outer
    for stub in (circle, doubling):
        with pytest.raises(RefusedError):
            module_state(stub)


def test_arrays_are_tensors():
    """Oracle: the numbers."""
    assert as_tensor(np.arange(3, dtype=">f4")).tolist() == [0, 1, 2]
    assert as_tensor(np.array(["a"])) is None
    assert as_tensor([1.0]) is None


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (torch.tensor(2), 2),
        (np.float64(0.5), 0.5),
        (torch.zeros((), device="meta"), None),
        pytest.param(1 << 100_000, None, id="long"),
        (torch.zeros(2), None),
        ("a", "a"),
        ([], None),
    ],
)
def test_single_values(value, plain):
    """Oracle: the values."""
    assert scalar_of(value) == plain


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_whole_module_in_the_older_format_is_read_as_in_an_archive(wrapped, tmp_path):
    """Oracle: the module's own ``state_dict``, and the same content saved as an archive; nothing is imported.

    The older format keeps the source of each class beside it, which the archive does not.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    Net.__qualname__ = "Net"
    globals()["Net"] = Net  # so that it can be pickled
    model = Net()
    found = {}
    for zipped in (True, False):
        torch.save(
            {"model": model} if wrapped else model, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped
        )
        content = read_inert(tmp_path / "x.pt")
        stub = content.value["model"] if wrapped else content.value
        found[zipped] = module_state(stub), sorted(content.unknown)
    assert list(found[True][0]) == list(found[False][0]) == list(model.state_dict())
    assert all(torch.equal(found[False][0][k], v) for k, v in model.state_dict().items())
    assert found[True][1] == found[False][1]
    del globals()["Net"]


def test_a_class_in_the_older_format_is_no_object(tmp_path):
    """Oracle: the folder that the program would make, where a class is expected."""
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self):
            return (exec, (f"import os; os.mkdir({str(mark)!r})",))

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return ("module", Evil(), None, None) if obj is Evil else None

    buffer = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(part, buffer, 2)
    Pickler(buffer, 2).dump({"model": Evil})
    pickle.dump([], buffer, 2)
    (tmp_path / "x.pt").write_bytes(buffer.getvalue())
    with pytest.raises(DamagedError, match="no class"):
        read_inert(tmp_path / "x.pt")
    assert not mark.exists()

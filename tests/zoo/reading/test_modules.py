"""Whole modules without their classes, and single values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape.zoo.reading.archive import read_inert
from landscape.zoo.reading.modules import as_tensor, module_state, scalar_of
from landscape.zoo.reading.stubs import RefusedError, Stub


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

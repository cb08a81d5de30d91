"""The trace: names of axes, arguments by name, and nothing left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.core.symmetry.axis_terms import resolve
from landscape.core.symmetry.rules import rule_for
from landscape.core.symmetry.trace import Tracer, arguments, plain_operations


def test_tied_weights_have_one_set_of_axes():
    """Oracle: one tensor under two names."""
    weight = torch.zeros(3, 2)
    tracer = Tracer({"a": weight, "b": weight}, [], rule_for, lambda: "")
    assert len(tracer.seen) == 1


def test_a_product_of_data_is_read_and_put_out():
    """Oracle: two linear layers, written out: the reads are x, the hidden units, and both outputs."""
    x, a, b = torch.rand(4, 3), torch.rand(3, 5), torch.rand(5, 2)
    tracer = Tracer({"a": a, "b": b}, [x], rule_for, lambda: "")
    with plain_operations(nn.Identity(), []), tracer:
        hidden = x @ a
        out = hidden.relu() @ b
    reads = [(read.call, read.argument) for read in tracer.reads]
    assert reads == [(0, "self"), (0, ""), (2, "self"), (2, "")]
    assert tracer.is_data(out) and not tracer.is_data(a)
    units = [resolve(axes[k]) for axes, k in ((tracer.axes_of(a), 1), (tracer.axes_of(b), 0))]
    assert units[0] is units[1] and not units[0].why


def test_in_place_operations_keep_a_tensors_axes():
    """Oracle: what is added in place goes in step with what it is added to."""
    a, b = torch.rand(3), torch.rand(3)
    tracer = Tracer({"a": a, "b": b}, [], rule_for, lambda: "")
    with plain_operations(nn.Identity(), []), tracer:
        a.add_(b)
    assert resolve(tracer.axes_of(a)[0]) is resolve(tracer.axes_of(b)[0])


def test_arguments_by_name_hold_the_defaults():
    """Oracle: the schema of aten::softmax, written out."""
    x = torch.rand(2)
    found = arguments(torch.ops.aten._softmax.default, (x, 0), {"half_to_float": False})
    assert set(found) == {"self", "dim", "half_to_float"} and found["self"] is x
    assert arguments(torch.ops.aten.add.Tensor, (x, x), {})["alpha"] == 1


def test_switches_and_hooks_are_restored():
    """Oracle: torch's own switches and the module's hooks, before and after, also after an error."""
    model = nn.Sequential(nn.Linear(2, 2))
    before = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    path: list[str] = []
    with pytest.raises(ZeroDivisionError), plain_operations(model, path):
        assert not torch.backends.mha.get_fastpath_enabled() and not torch.is_grad_enabled()
        model(torch.zeros(1, 2))
        raise ZeroDivisionError
    assert (torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()) == before
    assert not path and not model._forward_hooks and not model[0]._forward_pre_hooks

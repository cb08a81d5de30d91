"""Conversions: what is changed of a batch, what is left, and what the record says."""

from __future__ import annotations

import torch

from landscape.core.data.batches import Batch
from landscape.core.problem.door.conversions import Conversion, casts, converted, name_of, of_tensors


def batch(counted=True):
    x, mask, y = torch.zeros(2, 3), torch.ones(2, dtype=torch.bool), torch.arange(2, dtype=torch.int32)
    return Batch((x, mask, y), (x, mask), y, 2, counted)


def test_one_part_is_changed_and_the_other_left():
    """Oracle: the types by hand."""
    changed = of_tensors("inputs", lambda t: t.double() if t.is_floating_point() else t)(batch(counted=False))
    assert [t.dtype for t in changed.raw] == [torch.float64, torch.bool, torch.int32]
    assert [t.dtype for t in changed.inputs] == [torch.float64, torch.bool]
    assert not changed.counted


def test_a_cast_is_recorded_and_is_none_where_there_is_nothing_to_cast():
    """Oracle: the words."""
    made = casts(batch(), "target", torch.int64, lambda t: True, "labels")
    assert made.what == "labels int32 -> int64"
    (changed,) = converted([batch()], [made])
    assert changed.target.dtype == torch.int64
    assert changed.raw[2].dtype == torch.int64
    assert casts(changed, "target", torch.int64, lambda t: True, "labels") is None
    assert casts(batch(), "inputs", torch.float64, lambda t: False, "inputs") is None


def test_conversions_follow_one_another():
    """Oracle: 2 (x + 1) by hand."""
    add = Conversion("+1", of_tensors("inputs", lambda t: t + 1 if t.is_floating_point() else t))
    double = Conversion("x2", of_tensors("inputs", lambda t: t * 2 if t.is_floating_point() else t))
    (changed,) = converted([batch()], [add, double])
    assert changed.inputs[0].unique().tolist() == [2.0]
    assert name_of(torch.bfloat16) == "bfloat16"

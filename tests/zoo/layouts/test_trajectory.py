"""Trajectories: one model at several times."""

from __future__ import annotations


def test_trajectory(of_layout, facts):
    first, last, step = of_layout("trajectory")
    assert facts(last) == ("training-resnet-s3-ckpt", 3, {"epoch": 10}, {"test_acc": 0.5})
    assert first.group == last.group
    assert facts(step) == ("training-weights", None, {"step": 200}, {})

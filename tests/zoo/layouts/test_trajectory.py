"""Trajectories: one model at several times."""

from __future__ import annotations


def test_trajectory(of_layout, facts):
    first, last, step = of_layout("trajectory")
    assert facts(last) == ("training-resnet", 3, {"epoch": 10}, {"test_acc": 0.5})
    assert (first.group, first.run) == (last.group, last.run) == ("training-resnet", "training-resnet-s3")
    assert facts(step) == ("training", None, {"step": 200}, {})

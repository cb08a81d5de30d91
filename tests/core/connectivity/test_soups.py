"""Soups against means in numpy and a greedy choice by hand."""

from __future__ import annotations

import numpy as np
import torch

from landscape.core.connectivity.soups import average, greedy


def test_an_average_is_the_mean():
    """Oracle: numpy, in double precision; whole numbers stay those of the first."""
    g = torch.Generator().manual_seed(0)
    states = [{"w": torch.randn(3, 4, generator=g), "n": torch.tensor(i)} for i in range(5)]
    mean = average(states)
    exact = np.mean([s["w"].double().numpy() for s in states], axis=0)
    np.testing.assert_array_equal(mean["w"], exact.astype(np.float32))
    assert mean["n"] == 0
    assert torch.equal(average(states[:1] * 3)["w"], states[0]["w"])


def test_a_greedy_soup_takes_what_helps():
    """Oracle: by hand. Loss (w − 2)²: from 1.5, with 3 the mean is 2.25 (better), with 9 worse."""
    states = [{"w": torch.tensor(v)} for v in (9.0, 1.5, 3.0)]
    assert greedy(states, lambda s: (float(s["w"]) - 2) ** 2) == [1, 2]
    assert greedy(states, lambda s: float(s["w"])) == [1]

"""Counting saved bytes, and what a process may take."""

from __future__ import annotations

import os

import torch

from landscape.core.curvature import memory
from landscape.core.curvature.memory import count_saved_bytes, fair_share


def test_saved_bytes_of_known_graphs():
    """Oracle: exp keeps its result, a product both factors; views share storage, known ones are left out."""
    x = torch.ones(1000, dtype=torch.float64, requires_grad=True)
    with count_saved_bytes() as saved:
        y = x.exp()
    assert saved.total == 8000
    with count_saved_bytes([x]) as saved:
        z = x.exp() * x
    assert saved.total == 8000
    with count_saved_bytes([x]) as saved:
        w = y[:500] * y[500:]
    assert saved.total == 8000
    (expected,) = torch.autograd.grad(z.sum() + w.sum(), x)
    z, w = x.exp() * x, x.exp()[:500] * x.exp()[500:]
    assert torch.equal(torch.autograd.grad(z.sum() + w.sum(), x)[0], expected)


def test_counting_keeps_nothing_alive():
    """Oracle: a weak reference with no help from the cycle collector."""
    import gc
    import weakref

    gc.disable()
    try:
        x = torch.ones(10, requires_grad=True)
        with count_saved_bytes():
            y = x.exp()
        alive = weakref.ref(y)
        del y
        assert alive() is None
    finally:
        gc.enable()


def test_the_fair_share_follows_the_threads(monkeypatch):
    """Oracle: half of the free memory times threads over processors."""
    monkeypatch.setattr(memory, "free_memory", lambda: 1600)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    threads = torch.get_num_threads()
    try:
        for count, share in ((2, 200), (8, 800), (16, 800)):
            torch.set_num_threads(count)
            assert fair_share(torch.device("cpu")) == share
    finally:
        torch.set_num_threads(threads)

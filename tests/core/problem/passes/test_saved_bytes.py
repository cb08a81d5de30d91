"""Counting saved bytes."""

from __future__ import annotations

import torch

from landscape.core.problem.passes.saved_bytes import count_saved_bytes


def test_saved_bytes_of_known_graphs():
    """Oracle: exp keeps its result, a product both factors; views share storage, known ones are left out."""
    x = torch.ones(1000, dtype=torch.float64, requires_grad=True)
    with count_saved_bytes() as saved:
        y = x.exp()
    assert saved.total == saved.largest == 8000
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

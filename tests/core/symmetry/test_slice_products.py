"""Products that follow steps, against those of moved parameters computed anew."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.core.symmetry import slice_products
from landscape.core.symmetry.slice_products import SliceProducts, changes
from landscape.core.symmetry.symmetry import find_symmetry
from landscape.core.symmetry.trees import trees


def network():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 9, 3, groups=3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(36, 7), nn.ReLU(), nn.Linear(7, 2)),
    )


@pytest.mark.parametrize("kept", [0, slice_products.KEPT])
@pytest.mark.parametrize("which", ["one group", "all of a tree", "two units"])
def test_gains_after_steps_are_those_of_the_moved(which, kept, monkeypatch):
    """Oracle: the products of the moved parameters from scratch; also where only inner groups move."""
    monkeypatch.setattr(slice_products, "KEPT", kept)
    g = torch.Generator().manual_seed(0)
    model = network()
    symmetry = find_symmetry(model, torch.zeros(2, 1, 6, 6))
    names = [n for n, _ in model.named_parameters()]
    a, b = ({n: torch.randn(p.shape, generator=g) for n, p in model.named_parameters()} for _ in range(2))
    forest = trees(symmetry)
    products = SliceProducts(symmetry, forest, a, b)
    for index in [*range(len(forest)), *range(len(forest))]:
        [products.gains(k) for k in range(len(forest))]
        step = {n: s for n, s in symmetry.random(g).items() if n in forest[index]}
        if which == "one group":
            step = {n: s if n == forest[index][-1] else symmetry.identity()[n] for n, s in step.items()}
        elif which == "two units":
            step = {n: symmetry.identity()[n] for n in step}
            step[forest[index][-1]][..., [0, 1]] = torch.tensor([1, 0])
        moved, gain = products.moved(index, step)
        before = sum(float((a[n].double() * b[n].double()).sum()) for n in names)
        b = symmetry.apply(step, b)
        after = sum(float((a[n].double() * b[n].double()).sum()) for n in names)
        assert gain == pytest.approx(after - before, abs=1e-9)
        products.accept(index, step, moved)
        fresh = SliceProducts(symmetry, forest, a, b)
        assert products.objective() == pytest.approx(fresh.objective(), rel=1e-12)
        for k in range(len(forest)):
            for number, gains in fresh.gains(k).items():
                torch.testing.assert_close(products.gains(k)[number], gains, rtol=0, atol=1e-12)


def test_what_changes():
    """Oracle: by inspection."""
    assert not changes(torch.arange(3)) and not changes(torch.arange(3).expand(2, 3))
    assert changes(torch.tensor([[0, 1], [1, 0]])) and changes(torch.eye(2))

"""Trees of groups of networks whose groups are known."""

from __future__ import annotations

import torch
from torch import nn

from landscape.core.symmetry.symmetry import find_symmetry
from landscape.core.symmetry.trees import innermost, trees


def test_grouped_channels_are_within_their_group():
    """Oracle: by hand: a layer of its own; two groups of two channels, and of two that read them."""
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1, groups=2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)),
    )
    symmetry = find_symmetry(model, torch.zeros(2, 1, 1, 1))
    grouped, alone = sorted(trees(symmetry), key=len, reverse=True)
    assert [symmetry.groups[n].size for n in alone] == [5]
    assert [symmetry.groups[n].size for n in grouped] == [2, 2, 2]
    assert all(symmetry.groups[n].within == grouped[:1] for n in grouped[1:])
    (block,) = symmetry.blocks["2.weight"]  # both kinds of channels stand on it, each with its group
    chains = [tuple(block.dims[k] for k in chain) for chain in innermost(symmetry, grouped, block)]
    assert sorted(chains) == sorted((grouped[0], n) for n in grouped[1:])
    assert innermost(symmetry, alone, block) == []

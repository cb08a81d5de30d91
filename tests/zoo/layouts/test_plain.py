"""Plain files: what no other layout has claimed."""

from __future__ import annotations

import landscape


def test_what_is_found(directory):
    """Oracle: the files that were made."""
    zoo = landscape.scan(directory)
    found = [(m.name, m.shown, m.group, m.seed) for m in zoo.spec.models]
    assert found == [
        ("first", "first.pt", "first", None),
        ("last", "last.safetensors", "", None),
        ("resnet-net-s0", "resnet/net-s0.pth", "resnet", 0),
        ("resnet-net-s1", "resnet/net-s1.pth", "resnet", 1),
        ("vit-small-net-s0", "vit/small/net-s0.pth", "vit-small", 0),
        ("vit-small-net-s1", "vit/small/net-s1.pth", "vit-small", 1),
    ]
    assert all(m.path.is_file() for m in zoo.spec.models)
    assert all(m.builder is None for m in zoo.spec.models)

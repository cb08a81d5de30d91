"""What a process may take."""

from __future__ import annotations

import os

import torch

from landscape.core.curvature import memory
from landscape.core.curvature.memory import fair_share


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

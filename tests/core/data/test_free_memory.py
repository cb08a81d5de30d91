"""Free memory against hand-made files of a control group."""

from __future__ import annotations

import os

from landscape.core.data import free_memory


def test_containers_and_unknown_systems(monkeypatch, tmp_path):
    """Oracle: hand-made files of a control group; a system that does not tell."""
    monkeypatch.setattr(free_memory, "_CGROUP", tmp_path)
    free = free_memory.free_memory()
    assert free > 0
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_AVPHYS_PAGES": 100, "SC_PAGE_SIZE": 10}[name])
    assert free_memory.free_memory() == 1000
    (tmp_path / "memory.max").write_text("305\n")
    assert free_memory.free_memory() == 300
    (tmp_path / "memory.max").write_text("3\n")
    assert free_memory.free_memory() == 0

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown)
    assert free_memory.free_memory() == 2 << 30

"""Free memory against hand-made files of a control group and of the kernel."""

from __future__ import annotations

import os

from landscape.core import free_memory


def test_containers_and_unknown_systems(monkeypatch, tmp_path):
    """Oracle: hand-made files of a control group; a system that does not tell."""
    monkeypatch.setattr(free_memory, "_CGROUP", tmp_path)
    free = free_memory.free_memory()
    assert free > 0
    monkeypatch.setattr(free_memory, "_MEMINFO", tmp_path / "meminfo")
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
    assert free_memory.free_memory(unknown=7) == 7


def test_files_that_can_be_dropped_are_free(monkeypatch, tmp_path):
    """Oracle: hand-made files; a machine most of whose memory holds files, and a container alike."""
    monkeypatch.setattr(free_memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(free_memory, "_MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemFree: 20 kB\nMemAvailable:     500 kB\n")
    assert free_memory.free_memory() == 500 * 1024
    (tmp_path / "memory.max").write_text("300000\n")
    (tmp_path / "memory.current").write_text("290000\n")
    assert free_memory.free_memory() == 10000
    (tmp_path / "memory.stat").write_text("anon 90000\ninactive_file 200000\nactive_file 5\n")
    assert free_memory.free_memory() == 210000

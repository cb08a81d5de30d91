"""Memory: how much a process may take for speed."""

from __future__ import annotations

import os

import torch

from landscape.core.free_memory import free_memory

__all__ = ["fair_share"]


def fair_share(device: torch.device) -> int:
    """Bytes that this process may keep for speed: half of the free memory, by its share of the processors.

    A process with t torch threads on a machine of c processors takes the share t/c, so that workers which
    divide the machine also divide its memory. A GPU is taken to be unshared.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // 2
    share = min(1.0, torch.get_num_threads() / (os.cpu_count() or 1))
    return int(free_memory() * share) // 2

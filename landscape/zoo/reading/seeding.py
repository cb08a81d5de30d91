"""Seeding: what users' code draws from the global random generators does not depend on what ran before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["seeded"]


@contextmanager
def seeded() -> Iterator[None]:
    """Within it, the global random generators start from 0; afterwards they are as before."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - users' code uses it
    with torch.random.fork_rng(devices=_devices()):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _devices() -> list[int]:
    """The GPUs whose generators to keep: none before CUDA is in use, since looking would start it."""
    import torch

    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return list(range(torch.cuda.device_count())) if used else []

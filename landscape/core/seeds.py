"""Seeds of many independent streams of random numbers, spread from a few small numbers."""

from __future__ import annotations

import numpy as np
from torch import Generator

__all__ = ["seeded_generator", "spread_seed"]


def spread_seed(*numbers: int) -> int:
    """A 32-bit seed that depends on all of the numbers, such as a seed and the place of a draw.

    Neighbouring numbers give unrelated seeds, as sums or products of them would not.

    Args:
        *numbers: Not negative.
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def seeded_generator(*numbers: int) -> Generator:
    """A generator on the CPU, whose numbers do not depend on the device, with their `spread_seed`."""
    return Generator().manual_seed(spread_seed(*numbers))

from __future__ import annotations

import numpy as np
import torch

from landscape.core.seeds import seeded_generator, spread_seed


def test_seeds_are_those_of_numpy_and_unlike_their_neighbours():
    """Oracle: numpy's own spreading; that a seed stands for one stream, by drawing it twice."""
    assert spread_seed(3, 5) == int(np.random.SeedSequence((3, 5)).generate_state(1)[0])
    assert len({spread_seed(a, b) for a in range(10) for b in range(10)}) == 100
    first, again = (torch.rand(4, generator=seeded_generator(3, 5)) for _ in range(2))
    assert torch.equal(first, again)
    assert seeded_generator(3, 5).initial_seed() == spread_seed(3, 5)

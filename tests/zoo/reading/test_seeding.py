"""Random numbers of users' code start anew and leave no trace."""

import random

import numpy as np
import torch

from landscape.zoo.reading.seeding import seeded


def draws():
    """One number of each global generator."""
    return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002


def test_each_time_the_same_numbers_and_afterwards_those_of_before():
    """Oracle: the generators themselves, from seeds set here."""
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    want = draws()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    found = []
    for _ in range(2):
        with seeded():
            found.append(draws())
    assert found[0] == found[1]
    assert draws() == want

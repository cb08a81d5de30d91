"""The bound by its two parts, of a network that says what they are."""

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.training import Batch, EvidenceBound


class Told(nn.Module):
    """Notes what it is asked for."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.asked = []

    def start(self, x, generator):
        self.asked.append(("start", tuple(x.shape)))

    def negative_elbo(self, x, classes, examples, samples):
        self.asked.append(("bound", len(x), examples, samples))
        return self.layer(x).sum()


def test_the_bound_counts_all_examples_and_the_process_starts_from_them():
    """Oracle: what the network was told: 20 examples of which 4 are in the batch, 3 draws."""
    model, term = Told(), EvidenceBound(samples=3)
    x, y = torch.randn(20, 2), torch.arange(20) % 2
    term.begin(model, (x, y), torch.Generator())
    loss = term(model, Batch(x[:4], y[:4], torch.arange(4), 0.0), torch.Generator())
    torch.testing.assert_close(loss, model.layer(x[:4]).sum())
    assert model.asked == [("start", (20, 2)), ("bound", 4, 20, 3)]


def test_what_cannot_be_used_is_named():
    """Oracle: the sentences the user must see."""
    with pytest.raises(InputError, match="at least one draw"):
        EvidenceBound(0)
    with pytest.raises(InputError, match="Linear has no Gaussian process"):
        EvidenceBound().begin(nn.Linear(2, 2), None, torch.Generator())

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.training import Batch, Divergence
from landscape.reference.uncertainty import kl, variational


def test_the_term_is_the_divergence_over_the_examples():
    """Oracle: `kl`, which has tests of its own, over 20 examples; half of it halfway through the warm-up."""
    model = variational(nn.Sequential(nn.Linear(3, 2)))
    x, y = torch.zeros(20, 3), torch.zeros(20, dtype=torch.long)
    term = Divergence(warmup=0.2)
    term.begin(model, (x, y), torch.Generator())
    for progress, share in ((0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.9, 1.0)):
        got = term(model, Batch(x[:4], y[:4], torch.arange(4), progress), torch.Generator())
        torch.testing.assert_close(got, share * kl(model) / 20)
    full = Divergence(0.0)
    full.begin(model, (x, y), torch.Generator())
    torch.testing.assert_close(
        full(model, Batch(x, y, torch.arange(20), 0.0), torch.Generator()), kl(model) / 20
    )


def test_what_cannot_be_used_is_named():
    """Oracle: the sentences the user must see."""
    with pytest.raises(InputError, match="warmup is a share"):
        Divergence(2.0)
    with pytest.raises(InputError, match="Linear has no variational layers"):
        Divergence().begin(nn.Linear(3, 2), (torch.zeros(2, 3), torch.zeros(2)), torch.Generator())

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.training import Batch, CrossEntropy, MemberCrossEntropy
from landscape.reference.uncertainty import DeepEnsemble, GaussianHead, film

G = torch.Generator()
X = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 2, 1, 0])


def members(count=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [nn.Linear(2, 3) for _ in range(count)]


def batch(share=1.0):
    return Batch(X, Y, torch.arange(6), 0.0, share)


def test_it_is_the_mean_of_the_members_losses():
    """Oracle: torch's cross-entropy of each member; with mixed examples that of both labels."""
    parts = members()
    ensemble = DeepEnsemble(parts)
    for share in (1.0, 0.3):
        want = sum(
            share * functional.cross_entropy(m(X), Y)
            + (1 - share) * functional.cross_entropy(m(X), Y.flip(0))
            for m in parts
        )
        torch.testing.assert_close(MemberCrossEntropy()(ensemble, batch(share), G), want / 3)
    mean = functional.cross_entropy(ensemble(X), Y)
    assert MemberCrossEntropy()(ensemble, batch(), G) > mean  # Jensen's inequality


def test_terms_share_one_pass_and_running_statistics_move_once():
    """Oracle: the counter of BatchNorm, and the sum of both losses."""
    network = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    model = film(network, 2)
    both = MemberCrossEntropy() + CrossEntropy()
    images = Batch(torch.randn(6, 1, 3, 3), Y, torch.arange(6), 0.0)
    loss = both(model, images, G)
    assert model.network[1].norm.num_batches_tracked == 1
    assert torch.isfinite(loss)
    with pytest.raises(InputError, match="stands first"):
        MemberCrossEntropy()(model, images, G)


def test_what_cannot_be_used_is_named():
    """Oracle: the sentences the user must see."""
    with pytest.raises(InputError, match="Linear has no members"):
        MemberCrossEntropy()(nn.Linear(2, 3), batch(), G)
    with pytest.raises(InputError, match="hears classes"):
        MemberCrossEntropy()(GaussianHead(nn.Linear(2, 2)), batch(), G)

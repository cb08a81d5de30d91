"""FiLM-Ensembles as predictives."""

import pytest
import torch
from torch import nn

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.errors import InputError
from landscape.reference.layers import FiLMNorm2d
from landscape.reference.uncertainty import FiLMEnsemble, film, film_member, members_as_plain


def model(members=3, gain=2.0):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)]
        made = film(nn.Sequential(*layers).double(), members, gain).double()
        made.train()(torch.randn(20, 1, 4, 4, dtype=torch.float64))  # running statistics of their own
        return made.eval()


X = torch.randn(7, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_predicts_as_the_deep_ensemble_of_its_members():
    """Oracle: plain networks with each member's folded norms, averaged by `DeepEnsemble`."""
    ensemble = model()
    plain = members_as_plain(ensemble)
    assert [type(part) for part in plain[0]].count(nn.BatchNorm2d) == 1
    torch.testing.assert_close(ensemble(X), DeepEnsemble(plain)(X))
    for m, network in enumerate(plain):
        torch.testing.assert_close(ensemble.members(X)[:, m], network(X))
        torch.testing.assert_close(film_member([ensemble], m)(X), network(X))
        alone = FiLMEnsemble(ensemble.network, m).draws(X).log_p
        torch.testing.assert_close(alone, network(X).log_softmax(-1)[None])


def test_draws_are_members_whatever_the_batch():
    """Oracle: the mean of the probabilities by hand; parts of the batch; the random numbers of torch."""
    ensemble, state = model(), torch.get_rng_state()
    draws = ensemble.draws(X, seed=4)
    assert draws.log_p.shape == (3, 7, 3)
    torch.testing.assert_close(ensemble(X).exp(), draws.log_p.exp().mean(0))
    parts = torch.cat([ensemble.draws(part).log_p for part in torch.split(X, 2)], 1)
    torch.testing.assert_close(parts, draws.log_p)
    assert torch.equal(ensemble.draws(X, 2).log_p, draws.log_p[:2])
    assert ensemble.draws(X, 30).samples == 3
    assert torch.equal(torch.get_rng_state(), state)


def test_identical_members_are_one_network():
    """Oracle: one of them: equal draws, so that nothing is gained."""
    draws = model(gain=0.0).draws(X)
    torch.testing.assert_close(draws.log_p, draws.log_p[:1].expand(3, 7, 3))
    torch.testing.assert_close(draws.mixture(), draws.log_p[0])


def test_what_cannot_be_used_is_named():
    """Oracle: the sentences the user must see."""
    with pytest.raises(InputError, match="one number of members; here are none"):
        film(nn.Linear(2, 2), 3)
    with pytest.raises(InputError, match="here are 2 and 3"):
        FiLMEnsemble(nn.Sequential(FiLMNorm2d(1, 2), FiLMNorm2d(1, 3)))
    with pytest.raises(InputError, match="of 3 has members 0 to 2, not 3"):
        film_member([model()], 3)
    with pytest.raises(InputError, match="takes one FiLM-Ensemble, not Linear"):
        film_member([nn.Linear(2, 2)])
    with pytest.raises(InputError, match="one member or more, not 0"):
        model().draws(X, 0)


def test_norms_take_the_type_of_the_network():
    """Oracle: a network of doubles answers doubles; without maps and statistics there is none."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).double()
    assert film(network, 2)(torch.randn(5, 1, 4, 4).double()).dtype == torch.float64
    bare = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False, track_running_stats=False))
    assert film(bare, 2).size == 2

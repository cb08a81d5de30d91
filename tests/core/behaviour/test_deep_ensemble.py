import pytest
import torch

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.predictive import Predictive
from landscape.errors import InputError
from landscape.reference.models import mlp


def test_ensemble_averages_probabilities():
    """Oracle: softmax, mean and log of each member's logits, in float64."""
    members = [mlp((6, 3)).double() for _ in range(3)]
    x = torch.randn(4, 6, dtype=torch.float64)
    want = torch.stack([m(x).softmax(-1) for m in members]).mean(0).log()
    got = DeepEnsemble(members)(x)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(got.log_softmax(-1), got)  # they are normalised: logits of themselves


def test_an_ensemble_is_a_predictive_of_as_many_draws_as_members():
    """Oracle: each member's own log probabilities; names of weights are those of the members."""
    members = [mlp((6, 3)) for _ in range(3)]
    x = torch.randn(4, 6)
    ensemble = DeepEnsemble(members)
    assert isinstance(ensemble, Predictive)
    assert torch.equal(ensemble.draws(x).log_p, torch.stack([m(x).log_softmax(-1) for m in members]))
    assert torch.equal(ensemble(x), ensemble.draws(x).mixture())
    assert "members.2.fc1.weight" in ensemble.state_dict()


def test_no_members_are_named():
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match="a deep ensemble needs at least one member"):
        DeepEnsemble([])

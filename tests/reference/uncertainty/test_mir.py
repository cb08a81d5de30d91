"""A classifier with a decoder: what it puts out, and what its decoder reads."""

import copy

import pytest
import torch

from landscape.errors import InputError
from landscape.reference.training import Reconstruction
from landscape.reference.training.objective import Batch
from landscape.reference.uncertainty import feature_density, mir_network

MLP = "landscape.reference.models:mlp"


def network():
    torch.manual_seed(0)
    return mir_network(MLP, {"widths": [3, 6, 4]}, shape=[3], hidden=7)


def test_outputs_are_those_of_the_classifier_and_the_decoder_reads_what_the_head_reads():
    """Oracle: the layers of the classifier, called by hand."""
    model, x = network(), torch.randn(8, 3)
    inner = model.model
    outputs = model(x)
    assert torch.equal(outputs, inner(x))
    h = torch.relu(inner.fc1(x))
    torch.testing.assert_close(model.reconstruction(outputs), model.decoder(h))
    with pytest.raises(InputError, match="nothing to reconstruct"):
        model.reconstruction(model.eval()(x))


def test_a_pass_between_is_not_what_is_reconstructed():
    """Oracle: the loss by hand, of the batch itself; a copy of a network in training is a network."""
    model, x = network(), torch.randn(8, 3)
    batch = Batch(x, torch.zeros(8, dtype=torch.long), torch.arange(8), 0.0)
    batch.outputs(model)
    model(10 * x)  # such as an adversarial example's
    expected = (model.decoder(torch.relu(model.model.fc1(x))) - x).square().mean()
    torch.testing.assert_close(Reconstruction()(model, batch, torch.Generator()), expected)
    assert torch.equal(copy.deepcopy(model)(x), model(x))


def test_a_density_takes_it_as_a_classifier():
    """Oracle: the density of the inner classifier, which has the same features."""
    model, x = network(), torch.randn(40, 3)
    data = x, torch.arange(40) % 4
    own, inner = (feature_density([m], data).draws(x).score for m in (model, network().model))
    assert torch.equal(own, inner)


def test_a_network_without_a_head_is_named():
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match="no linear layer"):
        mir_network("torch.nn:Flatten", {})

"""The error of reconstruction by its formula, and what it leaves alone."""

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.training import Batch, CrossEntropy, Reconstruction, train
from landscape.reference.uncertainty import mir_network

MLP, WIDTHS = "landscape.reference.models:mlp", {"widths": [4, 6, 3]}


def network():
    torch.manual_seed(0)
    return mir_network(MLP, WIDTHS, shape=[2, 2], hidden=7)


def test_the_term_is_the_mean_squared_error():
    """Oracle: torch's mse_loss of the decoder's outputs; twice over the same batch."""
    model, x = network().train(), torch.randn(8, 2, 2)
    batch = Batch(x, torch.arange(8) % 3, torch.arange(8), 0.0)
    h = torch.relu(model.model.fc1(x.flatten(1)))
    expected = nn.functional.mse_loss(model.decoder(h), x.flatten(1))
    loss = (CrossEntropy() + Reconstruction())(model, batch, torch.Generator())
    torch.testing.assert_close(loss - CrossEntropy()(model, batch, torch.Generator()), expected)


def test_with_weight_0_the_classifier_is_that_of_cross_entropy(tmp_path):
    """Oracle: the same training without the term, weight by weight."""
    x, y = torch.randn(40, 2, 2), torch.arange(40) % 3
    trained = []
    for name, objective in (("a", CrossEntropy()), ("b", CrossEntropy() + 0.0 * Reconstruction())):
        model = network()
        train(model, (x, y), (x, y), path=tmp_path / name, epochs=2, objective=objective)
        trained.append(list(model.model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*trained, strict=True))


def test_a_network_without_a_decoder_is_named():
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match="Linear has no decoder"):
        Reconstruction().begin(nn.Linear(3, 2), None, torch.Generator())

"""SAM: its gradient against that of the loss at the moved weights, by a copy of the network."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.training import Batch, CrossEntropy, SharpnessAware, train


def net(batchnorm=False):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        norm = [nn.BatchNorm1d(6)] if batchnorm else []
        return nn.Sequential(nn.Linear(4, 6), *norm, nn.Tanh(), nn.Linear(6, 3)).double()


def a_batch(n=10):
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(1)).double()
    return Batch(x, torch.arange(n) % 3, torch.arange(n), 0.0)


def slopes(loss, model):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def test_loss_and_gradient_are_those_at_the_moved_weights():
    """Oracle: a copy of the network that is moved by ρ g/‖g‖ and differentiated as any other."""
    model, batch = net(), a_batch()
    loss = SharpnessAware(0.3)(model, batch, torch.Generator())
    g = slopes(functional.cross_entropy(model(batch.inputs), batch.targets), model)
    moved = copy.deepcopy(model)
    nn.utils.vector_to_parameters(
        nn.utils.parameters_to_vector(moved.parameters()) + 0.3 * g / g.norm(), moved.parameters()
    )
    there = functional.cross_entropy(moved(batch.inputs), batch.targets)
    torch.testing.assert_close(loss, there)
    torch.testing.assert_close(slopes(loss, model), slopes(there, moved))
    assert loss > functional.cross_entropy(model(batch.inputs), batch.targets)


def test_a_radius_of_zero_is_plain_training():
    """Oracle: the cross-entropy."""
    model, batch = net(), a_batch()
    loss = SharpnessAware(0.0, label_smoothing=0.1)(model, batch, torch.Generator())
    plain = CrossEntropy(0.1)(model, a_batch(), torch.Generator())
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(slopes(loss, model), slopes(plain, model))


def test_statistics_move_once_and_weights_not_at_all():
    """Oracle: those of one plain pass."""
    model, other = net(True), net(True)
    before = copy.deepcopy(dict(model.named_parameters()))
    SharpnessAware(0.3)(model, a_batch(), torch.Generator())
    other(a_batch().inputs)
    assert torch.equal(model[1].running_mean, other[1].running_mean)
    assert int(model[1].num_batches_tracked) == 1
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_trainings_are_told_apart_by_the_radius(tmp_path):
    """Oracle: the losses of two radii, and the same bits of a second call."""
    batch = a_batch()
    data = batch.inputs.float(), batch.targets

    def run(radius, name):
        model = net().float()
        objective = SharpnessAware(radius)
        return train(model, data, data, path=tmp_path / name, epochs=2, lr=0.05, objective=objective)

    one, two = run(0.0, "a.safetensors"), run(0.5, "b.safetensors")
    assert one.train_loss != two.train_loss
    assert run(0.5, "b.safetensors").seconds == 0.0
    assert run(0.1, "b.safetensors").train_loss != two.train_loss


def test_radii_below_zero_are_refused():
    """Oracle: the sentence."""
    with pytest.raises(InputError, match="radius must be at least 0, not -1"):
        SharpnessAware(-1.0)
    with pytest.raises(InputError, match="label_smoothing is a share below 1"):
        SharpnessAware(0.1, 1.0)


@pytest.mark.parametrize("first", [True, False])
def test_it_stands_beside_other_objectives(first):
    """Oracle: gradients of a sum are the sum of those of its terms, each on a batch of its own."""
    model = net()
    terms = [SharpnessAware(0.1), CrossEntropy(0.2)] if first else [CrossEntropy(0.2), SharpnessAware(0.1)]
    both = slopes((terms[0] + terms[1])(model, a_batch(), torch.Generator()), model)
    alone = [slopes(term(model, a_batch(), torch.Generator()), model) for term in terms]
    for found, a, b in zip(both, *alone, strict=True):
        torch.testing.assert_close(found, a + b)

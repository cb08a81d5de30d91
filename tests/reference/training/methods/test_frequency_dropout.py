"""Training under frequency dropout: what is filtered, when it is drawn, and what is left afterwards."""

import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.layers import FilterRanges, filter_kernels
from landscape.reference.models import resnet, vgg
from landscape.reference.training import Batch, CrossEntropy, NoiseConsistency, train
from landscape.reference.training.checkpoints import load_weights
from landscape.reference.training.evaluation import evaluate
from landscape.reference.training.methods.frequency_dropout import FilteredTraining

ALL = FilterRanges(("gaussian",), low=(0.8,), identity=(0.0,))


class Killed(BaseException):
    """Stands for a process that ends: nothing catches it."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


DATA = torch.rand(20, 1, 8, 8, generator=generator()), torch.arange(20) % 3


def net():
    torch.manual_seed(3)
    return resnet(width=2, blocks=(1, 1), classes=3)


def training(path, objective, kill_after=None, model=None):
    """Train a new network, whose pass of that number (in training mode) kills it."""
    model = net() if model is None else model
    left = None if kill_after is None else iter(range(kill_after))

    def count(module, inputs):
        if left is not None and module.training and next(left, None) is None:
            raise Killed

    handle = model.register_forward_pre_hook(count)
    try:
        result = train(model, DATA, DATA, path=path, objective=objective, epochs=3, batch_size=7)
    finally:
        handle.remove()
    return model, result


def test_a_filter_stands_behind_every_convolution_but_not_on_shortcuts():
    """Oracle: the first BatchNorm's input is the convolution's output through torch's own conv2d."""
    model, seen = net().train(), {}
    objective = FilteredTraining(ranges=ALL)
    objective.begin(model, DATA, generator())
    objective.epoch(model, 0, generator(5))
    model.stem.norm.register_forward_pre_hook(lambda _, inputs: seen.update(norm=inputs[0].detach()))
    batch = Batch(*DATA, torch.arange(20), 0.0)
    loss = objective(model, batch, generator())
    torch.testing.assert_close(loss, functional.cross_entropy(batch.outputs(model), DATA[1]))
    sigma = 0.8 + 0.2 * _second_uniform(5, 2)
    plain = functional.conv2d(DATA[0], model.stem.conv.weight, padding=1)
    want = functional.conv2d(plain, filter_kernels("gaussian", sigma), padding=1, groups=2)
    torch.testing.assert_close(seen["norm"], want)
    hooked = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and m._forward_hooks]
    assert hooked == ["stem.conv", *(f"stages.{s}.0.conv{c}" for s in (0, 1) for c in (1, 2))]
    objective.end(model, DATA)
    assert not any(m._forward_hooks for m in model.modules() if isinstance(m, nn.Conv2d))


def _second_uniform(seed, count):
    """Uniform numbers that follow the choice of the kind from this seed."""
    draws = generator(seed)
    torch.randint(1, (), generator=draws)
    return torch.rand(count, generator=draws)


@pytest.mark.parametrize("every", ["epoch", "batch"])
def test_filters_change_by_epoch_or_by_batch(every):
    """Oracle: losses of one batch twice over: equal where nothing was drawn between them."""
    model = net().train()
    objective = FilteredTraining(ranges=ALL, every=every)
    objective.begin(model, DATA, generator())
    draws, losses = generator(1), []
    for epoch in range(2):
        objective.epoch(model, epoch, draws)
        losses += [objective(model, Batch(*DATA, torch.arange(20), 0.0), draws).item() for _ in range(2)]
    assert (losses[0] == losses[1]) == (every == "epoch")
    assert losses[1] != losses[2]
    objective.end(model, DATA)


def test_statistics_are_those_of_the_network_without_filters(tmp_path):
    """Oracle: mean and variance of what torch's plain convolution puts out, over all training images."""
    model, result = training(tmp_path / "a.safetensors", FilteredTraining(ranges=ALL))
    maps = functional.conv2d(DATA[0], model.stem.conv.weight, padding=1)
    torch.testing.assert_close(model.stem.norm.running_mean, maps.mean((0, 2, 3)))
    torch.testing.assert_close(model.stem.norm.running_var, maps.var((0, 2, 3), correction=0))
    plain = net()
    load_weights(plain, tmp_path / "a.safetensors")  # strictly: nothing too much, nothing missing
    plain.eval()
    assert torch.equal(plain(DATA[0]), model(DATA[0]))
    assert evaluate(plain, DATA)[1] == result.test_accuracy


def test_filters_left_on_are_those_of_the_last_epoch_and_not_in_the_file(tmp_path):
    """Oracle: weights equal bit for bit with filters off; outputs that differ; statistics not taken anew."""
    on, _ = training(tmp_path / "on.safetensors", FilteredTraining(ranges=ALL, at_test="on"))
    off, _ = training(tmp_path / "off.safetensors", FilteredTraining(ranges=ALL, at_test="off"))
    anew, _ = training(tmp_path / "new.safetensors", FilteredTraining(ranges=ALL))
    for (name, a), b, c in zip(
        on.state_dict().items(), off.state_dict().values(), anew.state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
        assert torch.equal(a, c) != ("running" in name), name
    assert not torch.allclose(on(DATA[0]), off(DATA[0]))
    loaded = net()
    load_weights(loaded, tmp_path / "on.safetensors")
    assert torch.equal(loaded.eval()(DATA[0]), off(DATA[0]))


def test_after_training_it_goes_to_other_processes(tmp_path):
    """Oracle: an equal objective, though its hooks are still on a network: handles cannot be unpickled."""
    objective = FilteredTraining(ranges=ALL, at_test="on")
    model, _ = training(tmp_path / "a.safetensors", objective)
    again = pickle.loads(pickle.dumps(objective))
    assert again == objective
    assert not again._hooks and objective._hooks
    want = model(DATA[0])
    again.begin(net(), DATA, generator())
    assert torch.equal(model(DATA[0]), want)


@pytest.mark.parametrize("every", ["epoch", "batch"])
@pytest.mark.parametrize("at_test", ["recalibrated", "off"])
def test_killed_inside_a_step_it_goes_on_with_the_same_bits(tmp_path, every, at_test):
    """Oracle: the training that was not killed, file for file; one network is killed and goes on itself."""
    objective = FilteredTraining(
        CrossEntropy() + NoiseConsistency(0.5, samples=1), every=every, at_test=at_test
    )
    training(tmp_path / "whole.safetensors", objective)
    killed = tmp_path / "killed.safetensors"
    for passes in (9, 2):
        with pytest.raises(Killed):
            training(killed, objective, passes)
    training(killed, objective)
    assert killed.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_each_setting_is_another_training():
    """Oracle: what a training is told from others by."""
    objectives = [
        FilteredTraining(),
        FilteredTraining(every="batch"),
        FilteredTraining(at_test="off"),
        FilteredTraining(CrossEntropy(0.1)),
        FilteredTraining(ranges=FilterRanges(kinds=("gaussian",), size=5)),
    ]
    settings = [str(objective.settings()) for objective in objectives]
    assert len(set(settings)) == len(settings)
    assert FilteredTraining().settings() == FilteredTraining().settings()


def test_networks_without_statistics_or_convolutions():
    """Oracle: no BatchNorm, nothing to take anew; no convolution, the sentence the user must see."""
    model = vgg(width=2, blocks=(1,), batchnorm=False, image=8, head="gap", classes=3)
    objective = FilteredTraining(ranges=ALL)
    objective.begin(model, DATA, generator())
    objective.end(model, DATA)
    with pytest.raises(InputError, match="Linear has no two-dimensional convolution larger than 1×1"):
        objective.begin(nn.Linear(2, 2), DATA, generator())
    for bad in ({"every": "step"}, {"at_test": "of"}):
        with pytest.raises(InputError, match=f"FilteredTraining has no {next(iter(bad))}"):
            FilteredTraining(**bad)


def test_a_last_example_left_over_does_not_end_the_training():
    """Oracle: moments of all 257 inputs at once, of maps of one pixel, which a batch of one has none of."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    data = torch.rand(257, 1, 3, 3, generator=generator()), torch.arange(257) % 3
    objective = FilteredTraining()
    objective.begin(model, data, generator())
    objective.end(model, data)
    maps = model[0](data[0]).flatten(1).detach()
    torch.testing.assert_close(model[1].running_mean, maps.mean(0))
    torch.testing.assert_close(model[1].running_var, maps.var(0, correction=0))

"""Structured pruning; skipped without torch-pruning, which the `compress` extra installs."""

import sys

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.compression import prune_channels
from landscape.reference.models import resnet, vgg

NETS = {
    "vgg": lambda: vgg(width=4, blocks=(1, 1), head="gap", image=8, classes=3),
    "flattened": lambda: vgg(width=4, blocks=(1, 1), head="mlp", image=8, classes=3),
    "biases": lambda: vgg(width=4, blocks=(2,), head="gap", image=8, classes=3, batchnorm=False),
    "resnet": lambda: resnet(width=4, blocks=(1, 1), classes=3),
}


def data():
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(1)), None


def net(name):
    """With norms of a trained network: shifts and statistics that are not zero."""
    torch.manual_seed(0)
    model = NETS[name]()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.bias.data.normal_()
            layer.running_mean.normal_()
    return model.eval()


@pytest.mark.parametrize("name", NETS)
def test_the_plain_network_with_zeros_answers_as_the_smaller_one(name):
    """Oracle: the network that torch-pruning cuts, whose layers have no room for what was dropped."""
    pytest.importorskip("torch_pruning")
    model, x = net(name), data()[0]
    zeros = prune_channels(model, data(), share=0.5)
    smaller = prune_channels(model, data(), share=0.5, remove=True)
    torch.testing.assert_close(zeros(x), smaller(x), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(zeros(x), model(x))
    NETS[name]().load_state_dict(zeros.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), net(name).parameters(), strict=True))


def test_half_the_channels_are_those_of_half_the_width():
    """Oracle: the builder at half the width, whose shapes and numbers of parameters must be the same."""
    pytest.importorskip("torch_pruning")
    smaller = prune_channels(net("vgg"), data(), share=0.5, remove=True)
    half = vgg(width=2, blocks=(1, 1), head="gap", image=8, classes=3)
    half.load_state_dict(smaller.state_dict())
    torch.testing.assert_close(half.eval()(data()[0]), smaller(data()[0]))


def test_the_smallest_filters_go():
    """Oracle: sums of magnitudes, ranked by hand; nothing goes for a share of 0."""
    pytest.importorskip("torch_pruning")
    model = net("vgg")
    kernel = prune_channels(model, data(), share=0.5).stages[0].conv1.weight
    norms = model.stages[0].conv1.weight.abs().flatten(1).sum(1)
    gone = [i for i in range(4) if not kernel[i].any()]
    assert gone == sorted(norms.argsort()[:2].tolist())
    same = prune_channels(model, data(), share=0.0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))


def test_without_torch_pruning_it_says_what_to_install(monkeypatch):
    """Oracle: the sentence."""
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(InputError, match=r"pip install 'landscape-toolkit\[compress\]'"):
        prune_channels(net("vgg"), data(), share=0.5)
    with pytest.raises(InputError, match="share lies from 0 to below 1, not 1"):
        prune_channels(net("vgg"), data(), share=1.0)

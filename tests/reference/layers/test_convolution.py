import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.layers.convolution import (
    PreActBlock,
    ResidualBlock,
    Style,
    check_positive,
    head,
    stem,
)
from landscape.reference.layers.lowpass import LowPass2d
from landscape.reference.layers.quantile import FilteredReLU, QuantileReLU
from landscape.reference.models import alternet, resnet, vgg


def test_a_residual_block_adds_its_branch_to_the_shortcut():
    """Oracle: He et al. (2016), equations 1 and 2, written out for a block that changes the shape."""
    torch.manual_seed(0)
    block = ResidualBlock(3, 6, 2, Style()).eval()
    x = torch.randn(2, 3, 8, 8)
    branch = block.norm2(block.conv2(torch.relu(block.norm1(block.conv1(x)))))
    assert block(x).shape == (2, 6, 4, 4)
    torch.testing.assert_close(block(x), torch.relu(branch + block.shortcut(x)))
    same = ResidualBlock(3, 3, 1, Style()).eval()
    branch = same.norm2(same.conv2(torch.relu(same.norm1(same.conv1(x)))))
    torch.testing.assert_close(same(x), torch.relu(branch + x))


def test_heads_read_the_mean_or_the_whole_map():
    """Oracle: means and products written out; the hidden layers are four times the channels wide."""
    torch.manual_seed(0)
    x = torch.randn(5, 3, 2, 2)
    pool, last = head("gap", 3, 2, 4, Style())
    torch.testing.assert_close(last(pool(x)), x.mean((2, 3)) @ last.weight.T + last.bias)
    pool, layers = head("mlp", 3, 2, 4, Style(dropout=0.5))
    layers.eval()
    hidden = torch.relu(layers.fc2(torch.relu(layers.fc1(x.flatten(1)))))
    torch.testing.assert_close(layers(pool(x)), layers.fc3(hidden))
    assert (layers.fc1.in_features, layers.fc1.out_features) == (12, 12)
    assert [name for name, part in layers.named_children() if isinstance(part, nn.Dropout)] == [
        "drop1",
        "drop2",
    ]


def test_a_stem_may_be_bare():
    """Oracle: names of its modules."""
    assert [name for name, _ in stem(1, 4, Style()).named_children()] == ["conv", "norm", "act"]
    assert [name for name, _ in stem(1, 4, Style(), bare=True).named_children()] == ["conv"]


def test_sizes_are_checked_by_name():
    """Oracle: the sentence the user must see."""
    check_positive("builder", width=1)
    with pytest.raises(InputError, match="builder: depth must be at least 1, not 0"):
        check_positive("builder", width=1, depth=0)


@pytest.mark.parametrize("block", [ResidualBlock, PreActBlock])
def test_a_block_may_halve_its_map_before_its_convolutions(block):
    """Oracle: the same block of stride 1 on a map halved by hand; a pre-activation once it is ready."""
    torch.manual_seed(0)
    halving, plain = block(3, 6, 2, Style(down="flc")).eval(), block(3, 6, 1, Style()).eval()
    plain.load_state_dict(halving.state_dict())
    x = torch.randn(2, 3, 9, 8)
    assert halving(x).shape == (2, 6, 5, 4)
    if block is ResidualBlock:
        torch.testing.assert_close(halving(x), plain(LowPass2d("flc")(x)))
    else:
        ready = LowPass2d("flc")(torch.relu(halving.norm1(x)))
        branch = halving.conv2(torch.relu(halving.norm2(halving.conv1(ready))))
        torch.testing.assert_close(halving(x), branch + halving.shortcut(ready))


@pytest.mark.parametrize("down", ["stride", "max", "blur", "flc", "asap", "kaiser"])
def test_every_way_of_halving_builds_every_network(down):
    """Oracle: the map of 7 × 7 and the parameters, of which halving has none; gradients reach the images."""
    x = torch.rand(2, 1, 28, 28, requires_grad=True)
    for build in (resnet, vgg, alternet):
        torch.manual_seed(0)
        model, usual = build(width=4, down=down), build(width=4)
        if build is not vgg:  # whose head reads what is left of the map, of 3 × 3 or of 4 × 4
            assert {k: v.shape for k, v in model.state_dict().items()} == {
                k: v.shape for k, v in usual.state_dict().items()
            }
        torch.autograd.grad(model(x).sum(), x)


def test_activations_of_published_networks():
    """Oracle: their classes in every block."""
    for name, kind in (("quantile_relu", QuantileReLU), ("filtered_relu", FilteredReLU)):
        model = resnet(width=4, activation=name)
        assert sum(isinstance(part, kind) for part in model.modules()) == 7
        assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_unknown_options_are_named():
    with pytest.raises(InputError, match="no downsampling 'fft'"):
        resnet(down="fft")
    with pytest.raises(InputError, match="no smoothing 'gaussian'"):
        resnet(smooth="gaussian")
    with pytest.raises(InputError, match="no activation 'silu'"):
        resnet(activation="silu")
    with pytest.raises(InputError, match="no head 'max'"):
        vgg(head="max")
    with pytest.raises(InputError, match="dropout"):
        resnet(dropout=1.0)

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.layers.convolution import ResidualBlock, Style, check_positive, head, stem
from landscape.reference.models import resnet, vgg


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


def test_unknown_options_are_named():
    with pytest.raises(InputError, match="no smoothing 'gaussian'"):
        resnet(smooth="gaussian")
    with pytest.raises(InputError, match="no activation 'silu'"):
        resnet(activation="silu")
    with pytest.raises(InputError, match="no head 'max'"):
        vgg(head="max")
    with pytest.raises(InputError, match="dropout"):
        resnet(dropout=1.0)

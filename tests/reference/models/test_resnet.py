import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.layers.convolution import PreActBlock
from landscape.reference.models.resnet import resnet


def count(model):
    return sum(p.numel() for p in model.parameters())


def conv(inputs, outputs, side=3):
    return side * side * inputs * outputs


def linear(inputs, outputs):
    return inputs * outputs + outputs


def test_defaults_classify_digits_with_few_parameters():
    """Oracle: the promised range of sizes, so that Hessian products stay quick."""
    model = resnet()
    assert model(torch.randn(3, 1, 28, 28)).shape == (3, 10)
    assert 15_000 < sum(p.numel() for p in model.parameters()) < 80_000


def test_resnet_parameter_count():
    """Oracle: counted by hand from the layer shapes (3×3 convolutions, two numbers per norm)."""
    stem = 9 * 3 * 4 + 2 * 4
    first = 2 * (9 * 4 * 4 + 2 * 4) * 2  # two blocks, width 4
    second = (9 * 4 * 8 + 2 * 8) + (9 * 8 * 8 + 2 * 8) + (4 * 8 + 2 * 8)
    model = resnet(width=4, blocks=[2, 1], classes=5, in_channels=3)
    expected = stem + first + second + 8 * 5 + 5
    assert sum(p.numel() for p in model.parameters()) == expected


def test_resnet_module_names_and_feature_sizes():
    """Oracle: the names that analyses address; each stage but the first halves the image."""
    model = resnet(width=4)
    names = dict(model.named_modules())
    assert {"stem.conv", "stages.0.0.conv1", "stages.2.0.shortcut.conv", "head"} <= names.keys()
    x = model.stem(torch.randn(2, 1, 28, 28))
    shapes = [tuple((x := stage(x)).shape[1:]) for stage in model.stages]
    assert shapes == [(4, 28, 28), (8, 14, 14), (16, 7, 7)]


def test_preactivation_resnet_parameter_count():
    """Oracle: counted by hand: a bare stem, norms of the inputs, shortcuts without norms, a last norm."""
    first = 2 * (2 * 4 + conv(4, 4) + 2 * 4 + conv(4, 4))
    second = 2 * 4 + conv(4, 8) + 2 * 8 + conv(8, 8) + 4 * 8
    model = resnet(width=4, blocks=[2, 1], classes=5, in_channels=3, preact=True)
    assert count(model) == conv(3, 4) + first + second + 2 * 8 + linear(8, 5)


def test_preactivation_block_follows_the_paper():
    """Oracle: He et al. (2016b), figure 4 (e), written out."""
    torch.manual_seed(0)
    block = resnet(width=3, blocks=[1, 1], preact=True).stages[1][0].eval()
    assert isinstance(block, PreActBlock)
    x = torch.randn(2, 3, 6, 6)
    ready = torch.relu(block.norm1(x))
    branch = block.conv2(torch.relu(block.norm2(block.conv1(ready))))
    torch.testing.assert_close(block(x), branch + block.shortcut(ready))


def test_dropout_stands_between_the_convolutions():
    """Oracle: module order of both kinds of block; none without dropout."""
    assert not any(isinstance(m, nn.Dropout) for m in resnet().modules())
    for model in (resnet(dropout=0.3), resnet(dropout=0.3, preact=True)):
        names = [n for n, _ in model.stages[0][0].named_children()]
        assert names.index("drop") < names.index("conv2")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: resnet(width=0), "width must be at least 1"),
        (lambda: resnet(blocks=(1, 0)), r"blocks\[1\] must be at least 1"),
    ],
)
def test_bad_sizes_are_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()

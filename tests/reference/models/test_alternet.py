import pytest
import torch

from landscape.errors import InputError
from landscape.reference.models.alternet import LocalAttentionBlock, alternet, attention_places
from landscape.reference.models.resnet import resnet


def count(model):
    return sum(p.numel() for p in model.parameters())


def conv(inputs, outputs, side=3):
    return side * side * inputs * outputs


def linear(inputs, outputs):
    return inputs * outputs + outputs


def test_alternet_replaces_from_the_end_alternately():
    """Oracle: the published rules, listed by hand."""
    assert attention_places(3, 1) == (2,)
    assert attention_places(6, 3) == (1, 3, 5)
    assert attention_places(2, 0) == ()
    model = alternet(blocks=(2, 2, 4), attentions=(0, 1, 2))
    kinds = ["".join("A" if isinstance(b, LocalAttentionBlock) else "C" for b in s) for s in model.stages]
    assert kinds == ["CC", "CA", "CACA"]


def test_alternet_without_attention_is_its_parent():
    """Oracle: the pre-activation ResNet with the same weights."""
    model, parent = alternet(attentions=(0, 0, 0)), resnet(blocks=(2, 2, 2), preact=True)
    parent.load_state_dict(model.state_dict())
    x = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(model.eval()(x), parent.eval()(x))


def test_alternet_parameter_count():
    """Oracle: counted by hand; an attention block has two norms, a 1×1 convolution and attention."""
    parent = count(resnet(width=4, blocks=(1, 2), preact=True))
    block = 2 * 8 + conv(8, 8) + 2 * 8 + conv(8, 8)
    attention = 2 * 8 + conv(8, 8, 1) + 2 * 8 + linear(8, 24) + linear(8, 8) + 9 * 2
    model = alternet(width=4, blocks=(1, 2), attentions=(0, 1), heads=(1, 2), window=2)
    assert count(model) == parent - block + attention


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: alternet(attentions=(0, 1, 2)), "stage 2 of 2 blocks"),
        (lambda: alternet(heads=(1, 2)), "as many blocks"),
        (lambda: alternet(heads=(1, 3, 3)), "do not divide dim"),
        (lambda: alternet(window=4)(torch.randn(1, 1, 28, 28)), "do not tile"),
        (lambda: alternet(drop_path=float("nan")), "alternet: drop_path"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()

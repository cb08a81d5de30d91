import pytest
import torch
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models.mixer import mixer


def count(model):
    return sum(p.numel() for p in model.parameters())


def linear(inputs, outputs):
    return inputs * outputs + outputs


def test_mixer_parameter_count_and_equations():
    """Oracle: counted by hand; Tolstikhin et al. (2021), equation 1, written out for one block."""
    model = mixer(dim=6, depth=2, patch=4, image=8, classes=3, token_hidden=5, channel_hidden=7)
    block = 2 * 12 + linear(4, 5) + linear(5, 4) + linear(6, 7) + linear(7, 6)
    assert count(model) == 16 * 6 + 6 + 2 * block + 12 + linear(6, 3)
    part = model.blocks[0]
    x = torch.randn(3, 4, 6)
    w1, w2 = part.mlp_tokens.fc1, part.mlp_tokens.fc2
    mixed = torch.einsum("st,ntc->nsc", w1.weight, part.norm1(x)) + w1.bias[:, None]
    u = x + torch.einsum("ts,nsc->ntc", w2.weight, functional.gelu(mixed)) + w2.bias[:, None]
    torch.testing.assert_close(part(x), u + part.mlp_channels(part.norm2(u)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mixer(patch=5), "do not tile"),
        (lambda: mixer(depth=0), "depth must be at least 1"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()

import pytest
import torch
from torch import nn

from landscape.core.weights.compressible import channel_axis, compressible, counting_uses
from landscape.errors import InputError
from landscape.reference.models import vit


def test_matrices_and_kernels_by_their_first_names():
    """Oracle: the layers that were put in; a tied weight once, norms, biases and tokens never."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    assert list(compressible(model)) == ["0.weight", "2.weight"]
    model[2].weight = model[0].weight
    assert list(compressible(model)) == ["0.weight"]
    names = compressible(vit(dim=8, depth=1, heads=2, patch=7))
    assert not any("norm" in name or "token" in name or "bias" in name for name in names)
    with pytest.raises(InputError, match="BatchNorm1d has no matrix or kernel to prune"):
        compressible(nn.BatchNorm1d(3), "prune")


def test_outputs_of_transposed_convolutions_lie_along_the_second_axis():
    """Oracle: the shapes that torch documents."""
    model = nn.Sequential(nn.ConvTranspose2d(3, 5, 2), nn.Conv2d(5, 7, 2))
    assert [channel_axis(model, f"{i}.weight") for i in (0, 1)] == [1, 0]


def test_each_use_of_a_weight_is_counted():
    """Oracle: multiply-adds written out: a weight acts once per output place, per row, or per input place."""
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2),  # 6 × 6 -> 3 × 3
        nn.ConvTranspose2d(4, 3, 2, stride=2),  # of 3 × 3 places
        nn.Flatten(2),
        nn.Linear(36, 5),  # of 3 rows
    )
    with counting_uses(model) as uses:
        model(torch.zeros(10, 2, 6, 6))
        model(torch.zeros(10, 2, 6, 6))
    assert uses == {"0.weight": 2 * 10 * 9, "1.weight": 2 * 10 * 9, "3.weight": 2 * 10 * 3}
    assert not any(module._forward_hooks for module in model.modules())


def test_a_tied_weight_is_used_by_both_layers():
    """Oracle: two layers, one weight."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    with counting_uses(model) as uses:
        model(torch.zeros(5, 4))
    assert uses == {"0.weight": 10}


def test_weights_of_attention_and_recurrent_layers_count():
    """Oracle: the names in torch's documentation; gains of old weight normalisation are no matrices."""
    attention = nn.MultiheadAttention(4, 2, kdim=3, vdim=3)
    assert set(compressible(attention)) == {f"{n}_proj_weight" for n in "qkv"} | {"out_proj.weight"}
    assert "in_proj_weight" in compressible(nn.MultiheadAttention(4, 2))
    assert set(compressible(nn.GRU(3, 4, bidirectional=True))) == {
        f"weight_{kind}_l0{end}" for kind in ("ih", "hh") for end in ("", "_reverse")
    }
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))
    assert set(compressible(nn.Sequential(normed, nn.Linear(3, 2)))) == {"1.weight"}

"""Units: their kinds, names and selection."""

from __future__ import annotations

import pytest
from torch import nn

from landscape.core.features.units import Selection, Unit, find_units, inside_attention
from landscape.errors import InputError
from landscape.reference.models import resnet, vit


def test_units_have_kinds():
    """Oracle: the architectures, written out."""
    kinds = {name: unit.kind for name, unit in find_units(resnet()).items()}
    assert kinds["stem.conv"] == "convolution"
    assert kinds["stages.1.0"] == "block"
    assert kinds["stages.1.0.conv1"] == "downsampling"
    assert kinds["stages.1.0.norm1"] == "norm"
    assert kinds["stages.1"] == "other"
    kinds = {name: unit.kind for name, unit in find_units(vit()).items()}
    assert [kinds[f"blocks.0.{n}"] for n in ("norm1", "attn", "mlp", "mlp.fc1")] == [
        "norm",
        "attention",
        "mlp",
        "linear",
    ]
    assert kinds["patch_embed"] == "downsampling"


def test_a_selection_takes_names_and_kinds():
    """Oracle: membership written out; residual sums only where their kind is named."""
    conv = Unit("body.0", ("downsampling", "convolution"), "Conv2d")
    total = Unit("body.+", ("residual_sum",), "add")
    assert Selection().takes(conv) and not Selection().takes(total)
    assert Selection(kinds=("convolution",)).takes(conv) and not Selection(kinds=("norm",)).takes(conv)
    assert Selection(kinds=("residual_sum",)).takes(total)
    assert not Selection(("head*",)).takes(conv) and Selection(("body.?",)).takes(conv)
    assert conv.kind == "downsampling" and Unit("x", (), "Sequential").kind == "other"


def test_a_glob_that_fits_nothing_is_refused_with_the_nearest_name():
    """Oracle: the sentence."""
    with pytest.raises(InputError, match=r"no layer of Linear matches 'modle'; did you mean 'model'"):
        Selection(("modle",)).check(find_units(nn.Linear(1, 1)), nn.Linear(1, 1))


def test_what_lies_within_attention():
    """Oracle: the path of a module below torch's own attention."""
    units = find_units(nn.Sequential(nn.MultiheadAttention(2, 1), nn.Linear(2, 2)))
    assert [name for name in units if inside_attention(name, units)] == ["0.out_proj"]


def test_kinds_by_class_names_of_other_libraries():
    """Oracle: names that timm and torchvision use, by hand."""
    names = {
        "LayerNorm2d": "norm", "WindowAttention": "attention", "Mlp": "mlp", "PreNormBlock": "block",
        "PatchMerging": "downsampling", "MBConv": "other",
    }  # fmt: skip
    for name, kind in names.items():
        part = type(name, (nn.Sequential,), {})(nn.Identity())
        assert find_units(nn.Sequential(part))["0"].kind == kind, name

"""The feature analyses on networks of torchvision and timm, with random weights, unchanged."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
import torch

import landscape
from landscape import Problem
from landscape.base.analysis import run_together

SIZE = 224


def make(name):
    """A network by ``library:name``, small where the library lets us."""
    library, _, model = name.partition(":")
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed (pip install 'landscape-toolkit[vision]')")
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the libraries
        torch.manual_seed(0)
        if library == "timm":
            import timm

            return timm.create_model(model, num_classes=3)
        import torchvision

        network = getattr(torchvision.models, model)(weights=None, num_classes=3)
        for p in network.parameters():
            if p.ndim > 1 and not p.any():  # a head of zeros would hide every lesion
                torch.nn.init.normal_(p, std=0.02)
        return network


def problem_of(name):
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Problem(make(name), "cross_entropy", (x, torch.arange(2)))


# name, kinds that must be met, a unit with its expected height, attentions: (number, side, windows, prefix)
NETWORKS = [
    ("torchvision:resnet18", {"block", "convolution", "residual_sum"}, ("layer3.0", 28), None),
    ("torchvision:convnext_tiny", {"block", "downsampling", "residual_sum"}, ("features.1.0", 56), None),
    (
        "torchvision:vit_b_32",
        {"attention", "mlp", "block", "residual_sum"},
        ("encoder.layers.encoder_layer_3", 7),
        (12, 7, 1, 1),
    ),
    (
        "torchvision:swin_t",
        {"attention", "mlp", "block", "residual_sum", "downsampling"},
        ("features.3.0", 28),
        (12, 56, 64, 0),
    ),
    ("timm:resnet18", {"block", "convolution", "residual_sum"}, ("layer3.0", 28), None),
    ("timm:convnext_atto", {"block", "mlp", "downsampling"}, ("stages.1.blocks.0", 28), None),
    (
        "timm:vit_tiny_patch16_224",
        {"attention", "mlp", "block", "residual_sum"},
        ("blocks.3.attn", 14),
        (12, 14, 1, 1),
    ),
    (
        "timm:deit_tiny_distilled_patch16_224",
        {"attention", "mlp", "block"},
        ("blocks.3.attn", 14),
        (12, 14, 1, 2),
    ),
    (
        "timm:swin_tiny_patch4_window7_224",
        {"attention", "mlp", "block", "downsampling"},
        ("layers.0.blocks.1.attn", 56),
        (12, 56, 64, 0),
    ),
    ("timm:pit_ti_224", {"attention", "mlp", "block"}, ("transformers.0.blocks.0.attn", 27), (12, 27, 1, 1)),
    ("timm:mixer_s32_224", {"mlp", "block", "residual_sum"}, ("blocks.3", 7), None),
]


@pytest.mark.parametrize(("name", "kinds", "unit", "attention"), NETWORKS, ids=[n[0] for n in NETWORKS])
def test_feature_analyses_run_and_know_the_kinds(name, kinds, unit, attention):
    """Oracle: sizes of maps, numbers of heads' grids and kinds, from the architectures' papers."""
    problem = problem_of(name)
    asked = ["transfer", "feature_variance", "fourier", "attention_response"]
    known = landscape.analyses()
    options = {"worst_images": 1}
    pairs = [(known[a], known[a].validate(options if a == "attention_response" else {})) for a in asked]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transfer, variance, fourier, heads = run_together(problem, pairs)
    for result in (transfer, variance, fourier):
        assert not isinstance(result, Exception), result
    assert kinds <= set(transfer["kind"].values)
    where = list(variance["layer"].values).index(unit[0])
    assert np.isfinite(variance["spatial_variance"][where])
    row = transfer.isel(layer=list(transfer["layer"].values).index(unit[0]))
    assert int(row["height"]) == unit[1]
    assert np.isfinite(row["gain_high_low"])
    if attention is None:
        assert isinstance(heads, landscape.LandscapeError)
    else:
        number, side, windows, prefix = attention
        assert heads.sizes["layer"] == number
        assert int(heads["height"][0]) == int(heads["width"][0]) == side
        assert int(heads["windows"][0]) == windows
        assert int(heads["prefix_tokens"][0]) == prefix
        assert np.isfinite(heads["gain"].values[0]).any()


@pytest.mark.parametrize(
    ("name", "layers", "units"),
    [
        ("timm:vit_tiny_patch16_224", ["blocks.3", "blocks.3.attn", "blocks.3.mlp"], 6),
        ("timm:swin_tiny_patch4_window7_224", ["layers.0.blocks.1", "layers.0.blocks.1.attn"], 5),
        ("torchvision:vit_b_32", ["encoder.layers.encoder_layer_3*"], 15),
        ("torchvision:swin_t", ["features.1.0", "features.1.0.attn"], 5),
        ("torchvision:convnext_tiny", ["features.1.0"], 1),
    ],
)
def test_lesions_find_units_and_heads(name, layers, units):
    """Oracle: the number of units and heads, from the architectures; every removal changes the loss."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = problem_of(name)
        ds = landscape.lesion(
            problem,
            layers=layers,
            kinds=["block", "attention", "mlp"],
            heads=True,
            replacements=["remove"],
        )
    assert ds.sizes["unit"] == units
    change = ds["delta_loss"].sel(replacement="remove").values
    assert np.isfinite(change).all()
    assert (change != 0).any()

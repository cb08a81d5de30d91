"""The feature analyses on networks of torchvision and timm, unchanged, and on miniatures of what those do."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
import torch
from torch import nn

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


# In small, without a library: what networks of the sweep in benchmarks/architectures.py do, see its table in
# docs/architectures.md


class HardGate(nn.Module):
    """MobileNetV3: hard swish, then squeeze and excitation gated by the hard sigmoid."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(True)
        self.squeeze, self.gate, self.head = nn.Conv2d(8, 8, 1), nn.Hardsigmoid(), nn.Linear(8, 3)

    def forward(self, x):
        x = self.act(self.norm(self.conv(x)))
        x = x * self.gate(self.squeeze(x.mean((2, 3), keepdim=True)))
        return self.head(x.mean((2, 3)))


class KeptBiases(nn.Module):
    """LeViT: attention whose table of biases is kept in evaluation mode, by device."""

    def __init__(self):
        super().__init__()
        self.patches, self.qkv, self.head = nn.Conv2d(3, 8, 2, 2), nn.Linear(8, 24), nn.Linear(8, 3)
        self.attention_biases, self.kept = nn.Parameter(0.3 * torch.randn(2, 64)), {}
        apart = torch.arange(64) // 8, torch.arange(64) % 8
        far = sum((axis[:, None] - axis).abs() * scale for axis, scale in zip(apart, (8, 1), strict=True))
        self.register_buffer("index", far, persistent=False)

    @torch.no_grad()
    def train(self, mode=True):
        super().train(mode)
        if mode:
            self.kept = {}
        return self

    def biases(self):
        if self.training:
            return self.attention_biases[:, self.index]
        if "cpu" not in self.kept:
            self.kept["cpu"] = self.attention_biases[:, self.index]
        return self.kept["cpu"]

    def forward(self, x):
        x = self.patches(x).flatten(2).mT
        q, k, v = self.qkv(x).view(len(x), 64, 3, 2, 4).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT / 2 + self.biases()).softmax(-1)
        return self.head((x + (weights @ v).transpose(1, 2).flatten(2)).mean(1))


class PositionBiases(nn.Module):
    """Swin V2: a small network makes the biases of positions, whose rows are no examples."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.positions = nn.Sequential(nn.Linear(2, 6), nn.ReLU(inplace=True), nn.Linear(6, 8))
        self.register_buffer("grid", torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT + self.positions(self.grid)
        return self.head(torch.tanh(x).mean(1))


class Fires(nn.Module):
    """SqueezeNet: layers that write to their input; the head is a convolution. One block is used twice."""

    _version = 2  # as MNASNet: states without a version are refused

    def __init__(self):
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(inplace=True)
        self.squeeze, self.expand = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 3, padding=1)
        self.classes = nn.Conv2d(8, 3, 1)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        if local_metadata.get("version") is None:
            raise ValueError("version should be set")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def forward(self, x):
        x = self.act(self.stem(x))
        for _ in range(2):
            x = self.act(self.expand(self.act(self.squeeze(x))))
        return self.classes(x).mean((2, 3))


class Scaled(nn.Module):
    """A block that takes two inputs: features, and a scale worked out from the picture."""

    class Block(nn.Module):
        """The block."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(6, 6, 3, padding=1, groups=2)

        def forward(self, x, scale):
            return x + nn.functional.silu(self.conv(x)) * scale

    def __init__(self):
        super().__init__()
        self.stem, self.scale, self.block = nn.Conv2d(3, 6, 3, 2, 1), nn.Linear(3, 6), self.Block()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        scale = torch.sigmoid(self.scale(x.mean((2, 3))))[:, :, None, None]
        return self.head(self.block(self.block(self.stem(x), scale), scale).mean((2, 3)))


MINIATURES = [HardGate, KeptBiases, PositionBiases, Fires, Scaled]


def miniature(kind, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind().eval()


def pictures():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 3, 16, 16, generator=generator), torch.arange(5) % 3


@pytest.mark.parametrize("kind", MINIATURES)
def test_products_of_miniatures(kind, monkeypatch):
    """Oracle: plain double backward, with the hard sigmoid as a formula and nothing kept."""
    monkeypatch.setattr(nn.functional, "hardsigmoid", lambda x, inplace=False: (x / 6 + 0.5).clamp(0, 1))
    model, (x, y) = miniature(kind).double(), pictures()
    parameters = list(model.parameters())
    loss = nn.functional.cross_entropy(model(x.double()), y)
    first = torch.autograd.grad(loss, parameters, create_graph=True)
    v = torch.randn(sum(p.numel() for p in parameters), dtype=torch.float64)
    product = torch.cat([g.flatten() for g in first]) @ v
    second = torch.cat([g.flatten() for g in torch.autograd.grad(product, parameters)])
    monkeypatch.undo()
    problem = Problem(miniature(kind), "cross_entropy", (x, y), dtype=torch.float64)
    torch.testing.assert_close(landscape.hessian(problem) @ v, second, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("kind", MINIATURES)
def test_feature_analyses_of_miniatures(kind):
    """Oracle: there are numbers, removals change the loss, want of attention is a sentence."""
    problem = Problem(miniature(kind), "cross_entropy", pictures())
    for analysis in ("fourier", "transfer", "feature_variance"):
        result = getattr(landscape, analysis)(problem)
        assert any(np.isfinite(v.values).any() for v in result.data_vars.values() if v.dtype.kind == "f")
    change = landscape.lesion(problem, replacements=["remove", "mean", "dc"])["delta_loss"].values
    assert np.isfinite(change).any() and np.nanmax(np.abs(change)) > 0
    if kind is not KeptBiases:
        with pytest.raises(landscape.LandscapeError, match="has no self-attention"):
            landscape.attention_response(problem)
    else:
        assert landscape.attention_response(problem).sizes["head"] == 2


@pytest.mark.parametrize("kind", MINIATURES)
def test_similarity_and_alignment_of_miniatures(kind):
    """Oracle: CKA of a layer with itself is 1; alignment holds the outputs of the moved model itself."""
    problems = {n: Problem(miniature(kind, n == "b"), "cross_entropy", pictures()) for n in "ab"}
    for result in (landscape.cka(problems), landscape.similarity(problems)):
        named = str(result["notice"].item()) if "notice" in result else ""
        assert ("a: positions.0, a: positions.1" in named) == (kind is PositionBiases)
    own = np.diagonal(landscape.cka(problems)["cka"].values)
    assert np.allclose(own[np.isfinite(own)], 1.0) and np.isfinite(own).any()
    one, two = (miniature(kind, seed) for seed in (0, 1))
    found = landscape.align(one, one.state_dict(), two.state_dict(), inputs=pictures()[0])
    assert found.output_error < 1e-5 and found.objective_after >= found.objective_before

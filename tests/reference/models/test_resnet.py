import pytest
import torch
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models import mlp, resnet, vit


@pytest.mark.parametrize("build", [resnet, vit])
def test_defaults_classify_digits_with_few_parameters(build):
    """Oracle: the promised range of sizes, so that Hessian products stay quick."""
    model = build()
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


def test_vit_module_names():
    """Oracle: the names that analyses address."""
    names = dict(vit().named_modules())
    expected = {"patch_embed", "blocks.0.attn.qkv", "blocks.3.attn.proj", "blocks.0.mlp.fc2"}
    assert expected | {"blocks.0.norm1", "norm", "head"} <= names.keys()


@pytest.mark.parametrize("pool", ["cls", "gap"])
def test_vit_follows_the_equations_of_the_paper(pool):
    """Oracle: Dosovitskiy et al. (2021), equations 1-4, written out with a softmax in float64."""
    torch.manual_seed(0)
    model = vit(dim=6, depth=2, heads=2, patch=4, image=8, in_channels=2, classes=3, pool=pool)
    model = model.double()
    x = torch.randn(5, 2, 8, 8, dtype=torch.float64)
    w = dict(model.named_parameters())

    def norm(z, name):
        centred = z - z.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(z, name):
        return z @ w[f"{name}.weight"].flatten(1).T + w[f"{name}.bias"]

    patches = torch.stack([x[:, :, i : i + 4, j : j + 4].flatten(1) for i in (0, 4) for j in (0, 4)], dim=1)
    z = linear(patches, "patch_embed")
    if pool == "cls":
        z = torch.cat([w["cls_token"].repeat(5, 1, 1), z], dim=1)
    z = z + w["pos_embed"]
    for block in ("blocks.0", "blocks.1"):
        q, k, v = linear(norm(z, f"{block}.norm1"), f"{block}.attn.qkv").split(6, dim=-1)
        heads = [
            torch.softmax(q[..., s] @ k[..., s].mT / 3**0.5, dim=-1) @ v[..., s]
            for s in (slice(0, 3), slice(3, 6))
        ]
        z = z + linear(torch.cat(heads, dim=-1), f"{block}.attn.proj")
        hidden = functional.gelu(linear(norm(z, f"{block}.norm2"), f"{block}.mlp.fc1"))
        z = z + linear(hidden, f"{block}.mlp.fc2")
    z = norm(z, "norm")
    expected = linear(z[:, 0] if pool == "cls" else z.mean(1), "head")
    torch.testing.assert_close(model(x), expected)


def test_mlp_is_relu_between_linear_layers():
    """Oracle: the same network as two matrix products."""
    model = mlp((6, 4, 3))
    x = torch.randn(5, 2, 3)
    w = dict(model.named_parameters())
    hidden = (x.flatten(1) @ w["fc1.weight"].T + w["fc1.bias"]).clamp(min=0)
    torch.testing.assert_close(model(x), hidden @ w["fc2.weight"].T + w["fc2.bias"])
    assert len(w) == 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: resnet(width=0), "width must be at least 1"),
        (lambda: resnet(blocks=(1, 0)), r"blocks\[1\] must be at least 1"),
        (lambda: vit(heads=5), "5 heads do not divide dim 48"),
        (lambda: vit(patch=5), "patches of 5 pixels do not tile"),
        (lambda: vit(pool="max"), "known: cls, gap"),
        (lambda: mlp((3,)), "at least two widths"),
    ],
)
def test_bad_sizes_are_named(build, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        build()

import pytest
import torch
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models.vit import vit


def test_defaults_classify_digits_with_few_parameters():
    """Oracle: the promised range of sizes, so that Hessian products stay quick."""
    model = vit()
    assert model(torch.randn(3, 1, 28, 28)).shape == (3, 10)
    assert 15_000 < sum(p.numel() for p in model.parameters()) < 80_000


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vit(heads=5), "5 heads do not divide dim 48"),
        (lambda: vit(patch=5), "patches of 5 pixels do not tile"),
        (lambda: vit(pool="max"), "known: cls, gap"),
        (lambda: vit(drop_path=1.0), "vit: drop_path must be at least 0 and below 1, not 1.0"),
    ],
)
def test_bad_sizes_are_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()

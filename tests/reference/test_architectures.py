import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape import Problem
from landscape.core.features.collect import collect
from landscape.core.features.collector import Collector
from landscape.core.features.units import Selection
from landscape.core.symmetry.symmetry import find_symmetry
from landscape.errors import InputError
from landscape.reference.layers.attention import (
    DropPath,
    WindowAttention,
    drop_rates,
    from_windows,
    to_windows,
)
from landscape.reference.layers.convolution import PreActBlock
from landscape.reference.models import mixer, resnet, vgg, vit
from landscape.reference.models.alternet import LocalAttentionBlock, alternet, attention_places
from landscape.reference.models.swin import WindowBlock, windowed


def count(model):
    return sum(p.numel() for p in model.parameters())


def conv(inputs, outputs, side=3):
    return side * side * inputs * outputs


def linear(inputs, outputs):
    return inputs * outputs + outputs


BUILDERS = [
    resnet,
    vgg,
    mixer,
    windowed,
    alternet,
    lambda: resnet(preact=True, head="mlp", activation="relu6"),
]


@pytest.mark.parametrize("build", BUILDERS)
def test_defaults_classify_digits_with_gradients_everywhere(build):
    """Oracle: shapes, and that no parameter is idle."""
    model = build()
    logits = model(torch.randn(4, 1, 28, 28))
    assert logits.shape == (4, 10)
    functional.cross_entropy(logits, torch.arange(4)).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # softmax does not feel the same offset on all keys, and BatchNorm no offset before it
    assert [n for n in idle if not n.endswith("bias")] == []


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


def test_vgg_parameter_counts():
    """Oracle: counted by hand, with either head; 28 pixels halved twice leave 7."""
    body = conv(1, 4) + 8 + conv(4, 8) + 16 + conv(8, 8) + 16
    assert count(vgg(4, (1, 2), 5, head="gap")) == body + linear(8, 5)
    assert count(vgg(4, (1, 2), 5)) == body + linear(8 * 49, 32) + linear(32, 32) + linear(32, 5)
    bare = conv(1, 4) + 4 + conv(4, 8) + 8 + conv(8, 8) + 8
    assert count(vgg(4, (1, 2), 5, head="gap", batchnorm=False)) == bare + linear(8, 5)


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


def test_windowed_parameter_count():
    """Oracle: counted by hand, position biases and merging included."""
    model = windowed(dim=6, depths=(1, 2), heads=(2, 3), window=2, patch=2, image=8, classes=3, mlp_ratio=2)

    def block(dim, heads):
        attn = linear(dim, 3 * dim) + linear(dim, dim) + 9 * heads
        return 4 * dim + attn + linear(dim, 2 * dim) + linear(2 * dim, dim)

    merging = 2 * 24 + 24 * 12
    assert count(model) == 4 * 6 + 6 + block(6, 2) + merging + 2 * block(12, 3) + 24 + linear(12, 3)


def test_windows_are_in_row_order_and_can_be_undone():
    """Oracle: slices of the map."""
    x = torch.randn(2, 6, 4, 3)
    cut = to_windows(x, 2)
    assert cut.shape == (2 * 6, 4, 3)
    torch.testing.assert_close(cut[1], x[0, :2, 2:].reshape(4, 3))
    torch.testing.assert_close(cut[6 + 2], x[1, 2:4, :2].reshape(4, 3))
    assert torch.equal(from_windows(cut, 6, 4), x)
    with pytest.raises(InputError, match="do not tile"):
        to_windows(x, 4)


def test_window_attention_with_relative_positions():
    """Oracle: softmax(qkᵀ/√d + B) v in loops over heads, tokens and pairs, in float64."""
    torch.manual_seed(1)
    attn = WindowAttention(6, 2, 2).double()
    x = torch.randn(3, 4, 6, dtype=torch.float64)
    qkv = x @ attn.qkv.weight.T + attn.qkv.bias
    places = [(i, j) for i in range(2) for j in range(2)]
    out = torch.zeros(3, 4, 6, dtype=torch.float64)
    for n in range(3):
        for h in range(2):
            q, k, v = (qkv[n, :, s * 6 + h * 3 : s * 6 + h * 3 + 3] for s in range(3))
            score = q @ k.T / 3**0.5
            for a, (i, j) in enumerate(places):
                for b, (k_, l_) in enumerate(places):
                    score[a, b] += attn.position_bias[(i - k_ + 1) * 3 + (j - l_ + 1), h]
            out[n, :, h * 3 : h * 3 + 3] = score.softmax(-1) @ v
    torch.testing.assert_close(attn(x), out @ attn.proj.weight.T + attn.proj.bias)


def test_shifted_windows_do_not_mix_what_the_roll_brings_together():
    """Oracle: reach. A pixel may act only on the shifted windows of the unrolled map it lies in."""
    torch.manual_seed(2)
    block = WindowBlock(4, 2, 4, 8, True, 2)
    x = torch.randn(1, 8, 8, 4, requires_grad=True)

    def reach(row, column):
        (gradient,) = torch.autograd.grad(block(x)[0, row, column].sum(), x)
        return gradient[0].abs().sum(-1) > 0

    corner, middle = torch.zeros(8, 8, dtype=torch.bool), torch.zeros(8, 8, dtype=torch.bool)
    corner[:2, :2], middle[2:6, 2:6] = True, True
    assert torch.equal(reach(0, 0), corner)
    assert torch.equal(reach(3, 3), middle)


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
        (lambda: windowed(window=5), "do not tile"),
        (lambda: windowed(heads=(2,)), "heads for each stage"),
        (lambda: windowed(image=30), "cannot be cut"),
        (lambda: mixer(patch=5), "do not tile"),
        (lambda: mixer(depth=0), "depth must be at least 1"),
        (lambda: vgg(image=4), "halved 3 times"),
        (lambda: vgg(blocks=(1, 0)), "blocks\\[1\\]"),
        (lambda: vit(drop_path=1.0), "vit: drop_path must be at least 0 and below 1, not 1.0"),
        (lambda: windowed(drop_path=-0.1), "windowed: drop_path"),
        (lambda: alternet(drop_path=float("nan")), "alternet: drop_path"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_dropout_stands_between_the_convolutions():
    """Oracle: module order of each family; none without dropout."""
    assert not any(isinstance(m, nn.Dropout) for m in resnet().modules())
    for model in (resnet(dropout=0.3), resnet(dropout=0.3, preact=True)):
        names = [n for n, _ in model.stages[0][0].named_children()]
        assert names.index("drop") < names.index("conv2")
    assert sum(isinstance(m, nn.Dropout) for m in vgg(dropout=0.3).modules()) == 4 + 2


def test_drop_path_drops_whole_examples_and_keeps_the_mean():
    """Oracle: zeros and x/(1 − p) only; their count is binomial, within four standard errors."""
    torch.manual_seed(0)
    drop, x = DropPath(0.2), torch.rand(2000, 3, 4) + 1
    out = drop(x)
    kept = out[:, 0, 0] != 0
    torch.testing.assert_close(out[kept], x[kept] / 0.8)
    assert not out[~kept].any()
    assert abs(kept.sum().item() - 1600) < 4 * (2000 * 0.2 * 0.8) ** 0.5
    assert abs(out.mean() / x.mean() - 1) < 4 * (0.25 / 2000) ** 0.5  # variance p/(1 − p) of the factor
    assert drop.eval()(x) is x
    assert not list(drop.state_dict())


DROPPING = {
    "vit": (vit, {"dim": 8, "depth": 3, "heads": 2, "patch": 7}, 2),
    "windowed": (windowed, {"dim": 4, "depths": (2, 2), "heads": (1, 2)}, 2),
    "alternet": (alternet, {"width": 4, "blocks": (2, 2, 4), "attentions": (0, 1, 2), "heads": (1, 1, 2)}, 1),
}


@pytest.mark.parametrize("name", DROPPING)
def test_without_drop_path_models_are_what_they_were(name):
    """Oracle: names of modules and of weights; initial weights and outputs, bit for bit."""
    build, kwargs, _ = DROPPING[name]
    torch.manual_seed(0)
    plain = build(**kwargs)
    torch.manual_seed(0)
    zero = build(**kwargs, drop_path=0.0)
    torch.manual_seed(0)
    dropping = build(**kwargs, drop_path=0.3)
    assert [n for n, _ in plain.named_modules()] == [n for n, _ in zero.named_modules()]
    assert not any(isinstance(m, DropPath) or "drop" in n for n, m in plain.named_modules())
    assert dropping.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(3, 1, 28, 28)
    assert torch.equal(dropping.eval()(x), plain.eval()(x))
    torch.manual_seed(1)
    assert not torch.equal(dropping.train()(x), plain.train()(x))


@pytest.mark.parametrize("name", DROPPING)
def test_rates_rise_linearly_over_all_blocks(name):
    """Oracle: multiples of the rate by hand; AlterNet's convolution blocks count but drop nothing."""
    build, kwargs, each = DROPPING[name]
    found = [m.rate for m in build(**kwargs, drop_path=0.3).modules() if isinstance(m, DropPath)]
    by_hand = {
        "vit": [0.15, 0.3],
        "windowed": [0.1, 0.2, 0.3],
        "alternet": [0.3 * 3 / 7, 0.3 * 5 / 7, 0.3],
    }
    assert found == pytest.approx([rate for rate in by_hand[name] for _ in range(each)])
    assert drop_rates("vit", 0.3, 1) == [0.0]


class Outputs(Collector):
    """Keeps the outputs of units by kind."""

    selection = Selection(("*",), ("residual_sum", "attention", "mlp", "convolution"))

    def __init__(self):
        self.found = {}

    def receive(self, name, unit, module, inputs, output):
        self.found[name, unit.kind] = output.tensor.clone()


@pytest.mark.parametrize("name", DROPPING)
def test_with_drop_path_symmetries_and_features_are_found_all_the_same(name):
    """Oracle: what is found in the same model without it."""
    build, kwargs, _ = DROPPING[name]
    x, y = torch.randn(4, 1, 28, 28), torch.arange(4)
    groups, outputs = [], []
    for rate in (0.0, 0.3):
        torch.manual_seed(0)
        model = build(**kwargs, drop_path=rate)
        groups.append(str(find_symmetry(model, x)))
        outputs.append(Outputs())
        assert collect(Problem(model, "cross_entropy", (x, y)), [outputs[-1]]) == [None]
    assert groups[0] == groups[1]
    assert {"residual_sum", "attention"} <= {kind for _, kind in outputs[0].found}
    assert outputs[0].found.keys() == outputs[1].found.keys()
    assert all(torch.equal(value, outputs[1].found[key]) for key, value in outputs[0].found.items())

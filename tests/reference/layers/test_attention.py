import pytest
import torch

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
from landscape.reference.models import alternet, vit, windowed


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

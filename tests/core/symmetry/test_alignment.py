"""Alignment: copies permuted by hand come back exactly; optima by enumeration, NumPy and SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from architectures import ARCHITECTURES, VGG, Translator, images, sequences
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import landscape
from landscape.core.symmetry import rules as symmetry_rules
from landscape.core.symmetry.alignment import _difference, align, align_traced, trace_model
from landscape.core.symmetry.symmetry import find_symmetry
from landscape.errors import InputError
from landscape.reference.models import mlp, resnet, vit

METHODS = ["weights", "activations"]


def build(make, seed=0):
    """A model in evaluation mode that has moved away from its initial constants."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            for name, buffer in model.named_buffers():
                if "running" in name:
                    buffer.add_(0.2 * torch.rand_like(buffer))
    return model


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def order(n, seed):
    return torch.from_numpy(np.random.default_rng(seed).permutation(n))


def digits_like(n=32, size=28):
    """Smooth images, unlike white noise: neighbouring pixels are alike."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(n, 1, 7, 7, generator=generator)
    return nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


def reorder(state, places, index):
    """Apply one index list to the named axes, in place."""
    for name, axis in places:
        state[name] = state[name].index_select(axis, index)


def check_recovered(model, inputs, permuted, method, **options):
    """The copy gives the model's outputs, and its alignment the model's weights, bit for bit."""
    original = state_of(model)
    with torch.no_grad():
        expected = model(inputs)
        model.load_state_dict(permuted)
        scale = expected.abs().max()
        assert (model(inputs) - expected).abs().max() < 1e-4 * scale  # the copy by hand is right
        model.load_state_dict(original)
    assert any(not torch.equal(permuted[name], original[name]) for name in original)
    found = align(model, original, permuted, method=method, inputs=inputs, **options)
    for name in original:
        assert torch.equal(found.state[name], original[name]), name
    assert found.output_error < 1e-4
    assert found.converged
    assert found.objective_after > found.objective_before
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_permuted_mlp_comes_back(method):
    """Oracle: index lists by hand for six layers."""
    model = build(lambda: mlp((784, 24, 20, 24, 16, 20, 10)))
    permuted = state_of(model)
    orders = {}
    for layer, width in enumerate((24, 20, 24, 16, 20), start=1):
        orders[layer] = order(width, layer)
        here = [(f"fc{layer}.weight", 0), (f"fc{layer}.bias", 0), (f"fc{layer + 1}.weight", 1)]
        reorder(permuted, here, orders[layer])
    found = check_recovered(model, digits_like(), permuted, method)
    for layer, index in orders.items():
        assert torch.equal(index[found.permutations[f"fc{layer}.weight[0]"]], torch.arange(len(index)))


@pytest.mark.parametrize("method", METHODS)
def test_a_permuted_vgg_comes_back(method):
    """Oracle: index lists by hand, running statistics included; flattening keeps each channel's 4 pixels."""
    model = build(VGG)
    permuted = state_of(model)
    first, second, hidden = order(6, 1), order(8, 2), order(10, 3)
    norm = ("weight", "bias", "running_mean", "running_var")
    reorder(
        permuted, [("0.weight", 0), ("0.bias", 0), ("4.weight", 1), *((f"1.{n}", 0) for n in norm)], first
    )
    reorder(permuted, [("4.weight", 0), ("4.bias", 0), *((f"5.{n}", 0) for n in norm)], second)
    flat = (second[:, None] * 4 + torch.arange(4)).reshape(-1)
    reorder(permuted, [("9.weight", 1)], flat)
    reorder(permuted, [("9.weight", 0), ("9.bias", 0), ("12.weight", 1)], hidden)
    check_recovered(model, digits_like(size=8), permuted, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_permuted_resnet_comes_back(method):
    """Oracle: index lists by hand: one stream per stage, one order within each block."""
    model = build(lambda: resnet(width=6, blocks=(1, 2)))
    permuted = state_of(model)
    norm = ("weight", "bias", "running_mean", "running_var")
    for seed, block in enumerate(("0.0", "1.0", "1.1")):
        here = f"stages.{block}"
        places = [
            (f"{here}.conv1.weight", 0),
            (f"{here}.conv2.weight", 1),
            *((f"{here}.norm1.{n}", 0) for n in norm),
        ]
        reorder(permuted, places, order(6 if block == "0.0" else 12, seed))
    narrow = [("stem.conv.weight", 0), ("stages.0.0.conv1.weight", 1), ("stages.0.0.conv2.weight", 0)]
    narrow += [("stages.1.0.conv1.weight", 1), ("stages.1.0.shortcut.conv.weight", 1)]
    narrow += [(f"{part}.{n}", 0) for part in ("stem.norm", "stages.0.0.norm2") for n in norm]
    reorder(permuted, narrow, order(6, 5))
    wide = [("stages.1.0.conv2.weight", 0), ("stages.1.0.shortcut.conv.weight", 0), ("head.weight", 1)]
    wide += [("stages.1.1.conv1.weight", 1), ("stages.1.1.conv2.weight", 0)]
    parts = ("stages.1.0.norm2", "stages.1.0.shortcut.norm", "stages.1.1.norm2")
    wide += [(f"{part}.{n}", 0) for part in parts for n in norm]
    reorder(permuted, wide, order(12, 6))
    check_recovered(model, digits_like(), permuted, method)


def reorder_attention(state, qkv, proj, heads, width, seed):
    """Another order of heads, and within each of queries with keys and of values with outputs, by hand."""
    rng = np.random.default_rng(seed)
    front = rng.permutation(heads)
    inner = {part: [rng.permutation(width) for _ in range(heads)] for part in ("qk", "v")}
    rows = {
        part: np.concatenate([head * width + inner[part][head] for head in front]) for part in ("qk", "v")
    }
    size = heads * width
    index = torch.from_numpy(np.concatenate([rows["qk"], size + rows["qk"], 2 * size + rows["v"]]))
    reorder(state, [(f"{qkv}weight", 0), (f"{qkv}bias", 0)], index)
    reorder(state, [(f"{proj}.weight", 1)], torch.from_numpy(rows["v"]))


def permuted_vit(model, depth=2, heads=3, width=4):
    permuted = state_of(model)
    stream = [("cls_token", 2), ("pos_embed", 2), ("patch_embed.weight", 0), ("patch_embed.bias", 0)]
    stream += [("norm.weight", 0), ("norm.bias", 0), ("head.weight", 1)]
    for block in (f"blocks.{k}" for k in range(depth)):
        stream += [(f"{block}.norm{k}.{n}", 0) for k in (1, 2) for n in ("weight", "bias")]
        stream += [(f"{block}.attn.qkv.weight", 1), (f"{block}.mlp.fc1.weight", 1)]
        stream += [
            (f"{block}.{part}.{n}", 0) for part in ("attn.proj", "mlp.fc2") for n in ("weight", "bias")
        ]
        reorder_attention(permuted, f"{block}.attn.qkv.", f"{block}.attn.proj", heads, width, seed=1)
        hidden = [
            (f"{block}.mlp.fc1.weight", 0),
            (f"{block}.mlp.fc1.bias", 0),
            (f"{block}.mlp.fc2.weight", 1),
        ]
        reorder(permuted, hidden, order(2 * heads * width, 2))
    reorder(permuted, stream, order(heads * width, 3))
    return permuted


@pytest.mark.parametrize(
    ("method", "rotate"), [("weights", False), ("weights", True), ("activations", False)]
)
def test_a_permuted_vit_comes_back(method, rotate):
    """Oracle: index lists by hand: the stream with class token and positions, heads and within, MLPs."""
    model = build(lambda: vit(dim=12, depth=2, heads=3, patch=7))
    check_recovered(model, digits_like(), permuted_vit(model), method, rotate=rotate)


@pytest.mark.parametrize("method", METHODS)
def test_a_permuted_multihead_attention_comes_back(method):
    """Oracle: index lists by hand for the packed projection of `nn.MultiheadAttention`."""
    model = build(Translator)
    permuted = state_of(model)
    attention = "body.encoder.layers.0.self_attn"
    reorder_attention(permuted, f"{attention}.in_proj_", f"{attention}.out_proj", heads=2, width=4, seed=4)
    found = check_recovered(model, sequences(), permuted, method)
    names = [name for name in found.permutations if name.startswith(attention)]
    assert [tuple(found.permutations[name].shape) for name in names] == [(2,), (2, 4), (2, 4)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_permuted_copies_of_many_kinds_come_back(name, method):
    """Oracle: the original weights; the eager model's outputs."""
    case = ARCHITECTURES[name]
    model, inputs = build(case.build).double(), case.inputs()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    original = state_of(model)
    symmetry = find_symmetry(model, inputs)
    permuted = symmetry.apply(symmetry.random(torch.Generator().manual_seed(1)), original)
    found = align(model, original, permuted, method=method, inputs=inputs)
    with torch.no_grad():
        expected = model(inputs)
        model.load_state_dict(found.state)
        torch.testing.assert_close(model(inputs), expected, rtol=1e-8, atol=1e-10)
    assert found.output_error < 1e-9
    for key in original:
        assert torch.equal(found.state[key], original[key]), key
    assert found.objective_after > found.objective_before


@settings(max_examples=15)
@given(
    widths=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    seed=st.integers(0, 10**6),
    method=st.sampled_from(METHODS),
)
def test_permuted_mlps_of_any_width_come_back(widths, seed, method):
    """Oracle: the original weights, bit for bit."""
    layers = list(itertools.pairwise([12, *widths, 3]))
    parts = [part for i, o in layers for part in (nn.Linear(i, o), nn.Tanh())]
    model = build(lambda: nn.Sequential(*parts[:-1]), seed)
    permuted = state_of(model)
    for k, width in enumerate(widths):
        places = [(f"{2 * k}.weight", 0), (f"{2 * k}.bias", 0), (f"{2 * k + 2}.weight", 1)]
        reorder(permuted, places, order(width, seed + k))
    x = torch.randn(40, 12, generator=torch.Generator().manual_seed(seed))
    found = align(model, state_of(model), permuted, method=method, inputs=x)
    assert all(torch.equal(found.state[name], tensor) for name, tensor in model.state_dict().items())


# Optima


def two_layers(seed):
    return build(lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)), seed).double()


class OneAttention(nn.Module):
    """Attention alone: two heads of three channels; inputs and outputs are fixed."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


@pytest.mark.parametrize("method", METHODS)
def test_turned_heads_come_back(method):
    """Oracle: the original weights; queries with keys and values with outputs were turned by hand."""
    model = build(OneAttention, 3).double()
    original, turned = state_of(model), state_of(model)
    generator = torch.Generator().manual_seed(5)
    for head in range(2):
        turns = torch.linalg.qr(torch.randn(2, 3, 3, generator=generator, dtype=torch.float64))[0]
        for part, turn in zip(range(3), (turns[0], turns[0], turns[1]), strict=True):
            rows = slice(6 * part + 3 * head, 6 * part + 3 * head + 3)
            for name in ("attention.in_proj_weight", "attention.in_proj_bias"):
                turned[name][rows] = turn @ turned[name][rows]
        columns = slice(3 * head, 3 * head + 3)
        turned["attention.out_proj.weight"][:, columns] = (
            turned["attention.out_proj.weight"][:, columns] @ turns[1].T
        )
    x = torch.randn(30, 4, 6, generator=generator, dtype=torch.float64)
    found = align(model, original, turned, method=method, inputs=x, rotate=True)
    for name in original:
        torch.testing.assert_close(found.state[name], original[name], rtol=1e-9, atol=1e-9)
    stiff = align(model, original, turned, method=method, inputs=x)
    assert not stiff.rotations
    assert any((stiff.state[n] - original[n]).abs().max() > 0.05 for n in original)


# Contract


def test_the_same_seed_gives_the_same_bits_and_nothing_of_the_caller_changes():
    """Oracle: bits of the states, the model and torch's random numbers."""
    model, other = (build(lambda: resnet(width=4, blocks=(1, 1)), s) for s in (1, 2))
    a, b = state_of(model), state_of(other)
    kept = [state_of(model), dict(a), {n: t.clone() for n, t in b.items()}]
    random = torch.random.get_rng_state()
    first, second = (align(model, a, b, inputs=digits_like(), seed=3) for _ in range(2))
    assert all(torch.equal(first.state[n], second.state[n]) for n in b)
    for now, before in zip((model.state_dict(), a, b), kept, strict=True):
        assert all(torch.equal(now[n], before[n]) for n in before)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert first.objective_after > first.objective_before


def test_buffers_come_from_the_model_where_a_state_has_none():
    """Oracle: running statistics of the model, in the order of the permuted channels."""
    model = build(VGG)
    a = state_of(model)
    parameters = dict(model.named_parameters())
    index = order(6, 1)
    b = {name: a[name].clone() for name in parameters}
    places = [("0.weight", 0), ("0.bias", 0), ("1.weight", 0), ("1.bias", 0), ("4.weight", 1)]
    reorder(b, places, index)
    found = align(model, {n: a[n] for n in parameters}, b, inputs=images())
    back = found.permutations["0.weight[0]"]
    assert torch.equal(found.state["0.weight"], a["0.weight"])
    assert torch.equal(found.state["1.running_mean"], a["1.running_mean"][back])


def test_tied_weights_stay_tied():
    """Oracle: both names of one tensor after the alignment."""
    case = ARCHITECTURES["language"]
    model, other = build(case.build, 1), build(case.build, 2)
    found = align(model, state_of(model), state_of(other), inputs=case.inputs())
    assert torch.equal(found.state["token.weight"], found.state["head.weight"])


def test_models_are_called_as_their_inputs_ask():
    """Oracle: the same permutation by keywords, by position and by a function."""

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))

        def forward(self, x, scale):
            return {"logits": self.body(x) * scale, "count": torch.tensor(3)}

    model = build(Two)
    a, b = state_of(model), state_of(build(Two, 1))
    x, scale = torch.randn(5, 3), torch.tensor(2.0)
    results = [
        align(model, a, b, inputs={"x": x, "scale": scale}),
        align(model, a, b, inputs=(x, scale)),
        align(model, a, b, inputs=[(x, scale), (x, scale)]),
        align(model, a, b, inputs=x, forward=lambda m, batch: m(batch, scale)),
    ]
    for result in results[1:]:
        assert torch.equal(
            result.permutations["body.0.weight[0]"], results[0].permutations["body.0.weight[0]"]
        )


def test_masked_outputs_are_compared_where_they_are_finite():
    """Oracle: by hand: an infinity on both sides is equal, on one side it is not."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))

        def forward(self, x):
            return torch.cat([self.body(x), x[:, :1] - float("inf")], 1)

    found = align(
        build(Masked), state_of(build(Masked)), state_of(build(Masked, 1)), inputs=torch.randn(4, 3)
    )
    assert found.output_error < 1e-5
    x = torch.tensor([1.0, float("inf"), float("nan")])
    assert _difference(x, x) == 0
    assert _difference(x, torch.tensor([1.0, 2.0, float("nan")])) == float("inf")


def test_a_wrong_rule_is_caught_and_named(monkeypatch):
    """Oracle: a rule broken on purpose: reversing the hidden units is no elementwise operation."""

    class Reversed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)).flip(-1) * torch.arange(6.0))

    def wrong(call):
        return [call.axes("self")]

    model = build(Reversed)
    a, b = state_of(model), state_of(build(Reversed, 1))
    x = torch.randn(5, 3)
    with pytest.raises(InputError, match="no units of Reversed may be permuted"):
        align(model, a, b, inputs=x)
    monkeypatch.setitem(symmetry_rules._RULES, "flip", wrong)
    monkeypatch.setattr(
        symmetry_rules, "elementwise", lambda call: [list(call.tracer.axes_of(call.inputs[0]))]
    )
    message = r"Reversed cannot be aligned: its outputs change .* those of first\.weight\[0\]"
    with pytest.raises(InputError, match=message):
        align(model, a, b, inputs=x)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": {}}, "state a lacks parameter '0.weight' \\(4 missing\\)"),
        (
            {"b": {"0.wait": torch.zeros(1)}},
            "state b holds '0.wait', which the model lacks; did you mean '0.weight'",
        ),
        ({"a": {"0.bias": torch.zeros(4)}}, r"state a: '0.bias' has shape \(4,\), not \(5,\)"),
        ({"method": "wait"}, "align has no method 'wait'"),
        ({"inputs": []}, "align needs at least one batch"),
    ],
)
def test_unfit_arguments_are_refused(change, message):
    """Oracle: the sentence names what is wrong and where."""
    model = two_layers(1)
    arguments = {"a": state_of(model), "b": state_of(model), "inputs": torch.zeros(2, 3, dtype=torch.float64)}
    for name, value in change.items():
        arguments[name] = {**arguments[name], **value} if isinstance(value, dict) and value else value
    with pytest.raises(InputError, match=message):
        align(model, **arguments)


def test_examples_need_not_come_first():
    """Oracle: the copy permuted by hand; two steps of five alone would not fit the positions."""

    class StepsFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.randn(5, 1, 4))
            self.body = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))

        def forward(self, x):
            return self.body(x + self.position).mean(0)

    model = build(StepsFirst)
    permuted = state_of(model)
    reorder(permuted, [("body.0.weight", 0), ("body.0.bias", 0), ("body.2.weight", 1)], order(6, 1))
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    for method in METHODS:
        check_recovered(model, x, permuted, method)


def test_parameters_without_entries_stand_in_no_ones_way():
    """Oracle: an empty parameter changes nothing of the alignment of the model without it."""

    class Net(nn.Module):
        def __init__(self, empty):
            super().__init__()
            self.hidden, self.head = nn.Linear(6, 5), nn.Linear(5, 3)
            if empty:
                self.none = nn.Parameter(torch.zeros(0, 4))

        def forward(self, x):
            return self.head(torch.relu(self.hidden(x)))

    x, found = torch.randn(24, 6, generator=torch.Generator().manual_seed(2)), []
    for empty in (False, True):
        torch.manual_seed(3)
        a, b = Net(empty), Net(empty)
        problem = landscape.Problem(a, "cross_entropy", (x, torch.arange(24) % 3))
        ds = landscape.connect(problem, a.state_dict(), b.state_dict(), align="weights", steps=5)
        found.append(ds["loss"].values)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_pairs_of_one_architecture_are_traced_once(method):
    """Oracle: each pair aligned by itself; a buffer that a state lacks is the model's own in either case."""
    model, *others = (build(lambda: resnet(width=4), seed) for seed in range(4))
    inputs = digits_like(8)
    traced = trace_model(model, inputs)
    states = [state_of(other) for other in others]
    del states[2][next(name for name in states[2] if "running_mean" in name)]
    for a, b in ((states[0], states[1]), (states[2], states[0])):
        found = align_traced(traced, a, b, method=method)
        expected = align(model, a, b, method=method, inputs=inputs)
        assert found.symmetry is traced.symmetry
        assert found.objective_after == expected.objective_after and found.sweeps == expected.sweeps
        assert found.state.keys() == expected.state.keys()
        assert all(torch.equal(t, expected.state[name]) for name, t in found.state.items())

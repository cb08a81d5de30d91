"""Feature capture: firing order, clones, names of reused modules, and no hook left behind."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, ConvNet, Sentence, images, sentences, snapshot
from torch import nn

from landscape.core.features.hooks import capture, watch_outputs
from landscape.errors import InputError


class Backwards(nn.Module):
    """Defined in one order, called in another; one layer is called twice."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 2)
        self.twice = nn.Linear(3, 3)
        self.first = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.twice(self.twice(self.first(x))))


def test_names_come_in_firing_order_and_reused_modules_get_call_indices():
    """Oracle: the order written in ``forward``, and the layers called by hand."""
    model, x = Backwards(), torch.randn(2, 4)
    with capture(model) as features:
        out = model(x)
    assert list(features) == ["first", "twice", "twice#1", "last"]
    assert torch.equal(features["twice#1"], model.twice(model.twice(model.first(x))))
    assert torch.equal(features["last"], out)


def test_an_in_place_layer_is_not_reported_as_its_input():
    """Oracle: convolution and ReLU by hand; without a clone both names would hold the ReLU's output."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True)).double()
    x, _ = images()
    with capture(model) as features, torch.no_grad():
        model(x)
    before = torch.nn.functional.conv2d(x, model[0].weight, model[0].bias)
    assert (before < 0).any()
    assert torch.equal(features["0"], before)
    assert torch.equal(features["1"], before.clamp_min(0))


def test_features_are_copies_that_later_arithmetic_cannot_reach():
    """Oracle: the layer by hand; the forward pass then writes to its output."""

    class WritesLater(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            out = self.layer(x)
            out += 100.0
            return out

    model, x = WritesLater(), torch.randn(2, 4)
    with capture(model) as features, torch.no_grad():
        model(x)
    assert torch.equal(features["layer"], model.layer(x))
    assert not features["layer"].requires_grad


def test_a_container_is_not_reported_again_for_its_last_child():
    """Oracle: one entry per tensor; a container that does something of its own stays."""

    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), Residual(nn.Linear(4, 4)))
    with capture(model) as features:
        model(torch.randn(2, 4))
    assert list(features) == ["0.0", "0.1", "1.0", "1"]
    with capture(model, "0") as features:
        model(torch.randn(2, 4))
    assert list(features) == ["0"]


def test_fused_encoders_show_their_insides():
    """Oracle: the encoder run with gradients, which torch never fuses."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Sentence().double().eval()
    data = {k: v for k, v in sentences().items() if k != "labels"}
    with capture(model) as features, torch.no_grad():
        model(**data)
    assert {"encoder.layers.0.linear1", "encoder.layers.0.norm2", "encoder.layers.0.self_attn"} <= set(
        features
    )
    assert torch.equal(features["head"], model(**data))


def test_a_later_pass_replaces_the_earlier_one():
    """Oracle: the second input by hand."""
    model, x = Backwards(), torch.randn(2, 4)
    with capture(model) as features:
        model(torch.randn(5, 4))
        model(x)
    assert list(features) == ["first", "twice", "twice#1", "last"]
    assert torch.equal(features["first"], model.first(x))


def test_of_a_tuple_the_first_tensor_counts():
    """Oracle: an LSTM's output sequence."""
    model = nn.Sequential(nn.LSTM(4, 3))
    x = torch.randn(2, 5, 4)
    with capture(model) as features:
        model(x)
    assert torch.equal(features["0"], model(x)[0])


def test_a_model_without_submodules_is_one_layer():
    """Oracle: its output."""
    model, x = nn.Linear(4, 3), torch.randn(2, 4)
    with capture(model) as features:
        out = model(x)
    assert list(features) == ["model"]
    assert torch.equal(features["model"], out)


def test_globs_choose_layers():
    """Oracle: the names, written out."""
    model = ConvNet().double()
    x, _ = images()
    for patterns, names in (
        ("body.*", ["body.0", "body.1", "body.2", "body.3", "body.4"]),
        (["head", "body.1"], ["body.1", "head"]),
    ):
        with capture(model, patterns) as features:
            model(x)
        assert list(features) == names


def test_an_unknown_layer_is_refused_before_anything_runs():
    """Oracle: the sentence names the pattern and the nearest layer; no hook is left."""
    model = ConvNet()
    before = snapshot(model)
    with (
        pytest.raises(InputError, match=r"no layer of ConvNet matches 'bodi.0'; did you mean 'body.0'"),
        capture(model, ["head", "bodi.0"]),
    ):
        pass
    assert snapshot(model) == before


@pytest.mark.parametrize("name", ["conv_batchnorm", "transformer_dict", "attention"])
@pytest.mark.parametrize("where", ["in the model", "in the receiver", "in the block"])
def test_hooks_and_switches_are_gone_after_an_exception(name, where):
    """Oracle: a snapshot of hooks and of torch's switch for fused encoders."""
    case = CASES[name]
    problem = case.problem()
    before = snapshot(problem.module)

    def receive(*_):
        if where == "in the receiver":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), torch.no_grad(), watch_outputs(problem.module, receive):
        if where == "in the model":
            problem.module.head.forward = lambda x: 1 / 0
        problem.output(problem.batches[0])
        raise ZeroDivisionError
    assert snapshot(problem.module) == before


def test_a_switch_the_caller_had_thrown_stays():
    """Oracle: torch's switch before."""
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with capture(nn.Linear(1, 1)):
            pass
        assert not torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_inference_mode_works():
    """Oracle: the same outputs; tensors made there carry no version counter."""
    model, x = Backwards(), torch.randn(2, 4)
    with torch.inference_mode(), capture(model) as features:
        out = model(x)
    assert list(features) == ["first", "twice", "twice#1", "last"]
    assert torch.equal(features["last"], out)

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.core.weights.quantisation import quantised
from landscape.errors import InputError
from landscape.reference.compression import FakeQuantised, quantise, quantise_aware
from landscape.reference.models import resnet, vgg
from landscape.reference.training import tune

TINY = {"width": 2, "blocks": (1, 1), "head": "gap", "image": 8, "classes": 3}


def net():
    torch.manual_seed(0)
    return vgg(**TINY)


def images(n=12):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(n, 1, 8, 8, generator=draw), torch.arange(n) % 3


@pytest.mark.parametrize("scales", ["channel", "tensor"])
def test_kernels_are_rounded_and_all_else_stays(scales):
    """Oracle: the rounding of the core, weight by weight; every other number bit for bit."""
    model = resnet(width=2, blocks=(1, 1))
    rounded = dict(quantise(model, bits=3, scales=scales).named_parameters())
    for name, value in model.named_parameters():
        kernel = name.endswith("weight") and value.ndim > 1
        want = quantised(value, 3, 0 if scales == "channel" else None) if kernel else value
        assert torch.equal(rounded[name], want), name
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.parameters(), quantise(model, bits=32).parameters(), strict=True)
    )


def test_the_forward_pass_while_training_is_that_of_the_rounded_weights():
    """Oracle: the same network rounded after training, bit for bit."""
    model, (x, _) = net().eval(), images()
    want = quantise(model, bits=3)(x)
    learner = net().eval()
    for layer in learner.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.utils.parametrize.register_parametrization(layer, "weight", FakeQuantised(3))
    assert torch.equal(learner(x), want)


def test_the_gradient_passes_the_rounding():
    """Oracle: the gradient of a linear layer by its weight, which is the identity's: upstream ⊗ input."""
    layer = nn.Linear(3, 2, bias=False)
    x, u = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.3, -1.0])
    (slope,) = torch.autograd.grad(functional.linear(x, FakeQuantised(2)(layer.weight)) @ u, layer.weight)
    torch.testing.assert_close(slope, torch.outer(u, x))


def test_training_with_rounded_weights_lowers_the_loss_of_those():
    """Oracle: the loss of rounding alone; values on the grid; a state that the plain builder loads."""
    data, model = images(), net()
    trained = quantise_aware(model, data, bits=2, epochs=30, lr=0.02, batch_size=6)
    before, after = (
        functional.cross_entropy(m.eval()(data[0]), data[1]) for m in (quantise(model, bits=2), trained)
    )
    assert after < before - 0.1
    plain = vgg(**TINY)
    plain.load_state_dict(trained.state_dict())
    assert all(len(k.unique()) <= 3 for c in plain.modules() if isinstance(c, nn.Conv2d) for k in c.weight)
    assert all(type(layer).__module__.startswith(("torch", "landscape")) for layer in trained.modules())
    again = quantise_aware(model, data, bits=2, epochs=30, lr=0.02, batch_size=6)
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), again.parameters(), strict=True))


def test_without_epochs_it_is_rounding():
    """Oracle: `quantise`."""
    model = net()
    ours, plain = quantise_aware(model, images(), bits=4, epochs=0), quantise(model, bits=4)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))
    assert torch.equal(model.state_dict()["head.weight"], net().state_dict()["head.weight"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantise(net(), bits=1), "bits must be at least 2"),
        (lambda: quantise_aware(net(), images(), bits=1), "bits must be at least 2"),
        (lambda: quantise(net(), bits=4, scales="channels"), "did you mean 'channel'"),
        (lambda: quantise(nn.BatchNorm1d(3), bits=4), "no matrix or kernel to quantise"),
    ],
)
def test_what_cannot_be_rounded_is_named(call, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        call()


def test_eight_bits_are_those_of_integer_arithmetic():
    """Oracle: torchao's int8 weights, of a scale over 127.5 steps; skipped without it (extra `compress`)."""
    quantization = pytest.importorskip("torchao.quantization")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).eval()
    ours, theirs = quantise(model, bits=8), copy.deepcopy(model)
    quantization.quantize_(theirs, quantization.Int8WeightOnlyConfig())
    for place in (0, 2):
        weight, real = model[place].weight, theirs[place].weight.dequantize()
        step = weight.abs().amax(1, keepdim=True) / 127
        assert ((real - weight) / step).abs().max() <= 0.5
        assert ((ours[place].weight - weight) / step).abs().max() <= 0.5 + 1e-4
    x = torch.randn(50, 64)
    away = [(net(x) - model(x)).square().mean() for net in (ours, theirs)]
    assert 0.5 < away[0] / away[1] < 2


class Tied(nn.Module):
    """Two linear layers of one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.head(self.b(self.a(x).relu()).relu())


def test_both_uses_of_a_tied_weight_are_rounded_in_training(monkeypatch):
    """Oracle: the values in the pass; the tie and the state of the plain model remain."""
    torch.manual_seed(0)
    seen = []

    def look(model, data, **options):
        seen.extend(torch.equal(m.weight, quantised(m.weight, 3)) for m in (model.a, model.b, model.head))
        return tune(model, data, **options)

    monkeypatch.setattr("landscape.reference.compression.quantisation.tune", look)
    found = quantise_aware(Tied(), (torch.randn(8, 4), torch.arange(8) % 2), bits=3, epochs=1)
    assert seen == [True, True, True]
    assert found.a.weight is found.b.weight
    torch.testing.assert_close(found.a.weight, quantised(found.a.weight, 3), rtol=1e-6, atol=0)
    Tied().load_state_dict(found.state_dict())


def test_attention_is_trained_with_rounded_weights_and_recurrent_layers_are_refused():
    """Oracle: the number of values of 2 bits in a row."""
    model = nn.Sequential(
        nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten(), nn.Linear(12, 2)
    )
    found = quantise_aware(model, (torch.randn(6, 3, 4), torch.arange(6) % 2), bits=2, epochs=1)
    assert all(len(row.unique()) <= 3 for row in found[0].self_attn.in_proj_weight)
    with pytest.raises(InputError, match="cannot round the weights of GRU '0'"):
        quantise_aware(nn.Sequential(nn.GRU(3, 4)), (torch.randn(6, 2, 3), torch.arange(6) % 2), bits=2)

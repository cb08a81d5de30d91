"""Images channels last: gradients stay right where torch, left alone, gets them wrong."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import landscape
from landscape import Problem
from landscape.core.data.batches import read_batches
from landscape.core.data.trees import plain
from landscape.core.problem.execution import fastest_batch_layout
from landscape.core.problem.memory_layout import has_unsound_convolution, is_unsound, sound_convolutions
from landscape.core.similarity.zoo_pass import zoo_hsic
from landscape.reference.models import resnet
from landscape.reference.training.recipe import Recipe


def channels_last(tensor):
    """The same numbers with strides that say "channels last" even where an axis has length 1."""
    return tensor.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)


class Functional(nn.Module):
    """A strided 1 x 1 convolution that is no module."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.weight = nn.Parameter(torch.randn(8, 4, 1, 1))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = torch.tanh(self.stem(x))
        return self.head(torch.tanh(functional.conv2d(x, weight=self.weight, stride=2)).mean((2, 3)))


class Permuting(Functional):
    """The same, whose maps come from channels that lie last whatever the data's layout."""

    def forward(self, x):
        return super().forward(channels_last(x))


def chain(*layers, features):
    return nn.Sequential(
        *layers, nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * features, 3)
    )


MODELS = {
    "shortcut": lambda: chain(
        nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 8, 1, stride=2), features=8
    ),
    "one channel": lambda: chain(nn.Conv2d(3, 1, 1), nn.Tanh(), nn.Conv2d(1, 8, 1, stride=2), features=8),
    "one axis": lambda: chain(nn.Conv2d(3, 7, 1, stride=(1, 2)), features=7),
    "transposed": lambda: chain(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Tanh(),
        nn.ConvTranspose2d(8, 4, 1, stride=2, output_padding=1),
        features=4,
    ),
    "resnet": lambda: resnet(width=2, blocks=(1, 1), classes=3, in_channels=3),
    "functional": Functional,
    "permuting": Permuting,
}
every_model = pytest.mark.parametrize("name", MODELS)


def made(name):
    torch.manual_seed(0)
    return MODELS[name]().eval()


def data(count=7, size=16):
    torch.manual_seed(1)
    return torch.randn(count, 3, size, size), torch.arange(count) % 3


def given_channels_last(name):
    """Model and data as a user may give them: everything channels last."""
    model, (x, y) = made(name), data()
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = channels_last(parameter.data)
    return model, (channels_last(x), y)


def exact(name):
    """Parameters, gradient and loss function in float64, channels first, by plain autograd."""
    model, (x, y) = made(name).double(), data()
    names, parameters = zip(*model.named_parameters(), strict=True)

    def loss(*values):
        output = torch.func.functional_call(model, dict(zip(names, values, strict=True)), x.double())
        return functional.cross_entropy(output, y)

    return tuple(p.detach() for p in parameters), loss


def flat(tensors):
    return torch.cat([t.reshape(-1) for t in tensors])


def near(found, expected):
    scale = float(expected.abs().max())
    return float((found.double() - expected).abs().max()) < 2e-5 * scale


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7, 8, 12])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_weight_gradient_is_a_sum_of_products(channels, stride):
    """Oracle: the definition, a sum over images and places, as an einsum in float64."""
    torch.manual_seed(0)
    weight = channels_last(torch.randn(8, channels, 1, 1)).requires_grad_()
    x = channels_last(torch.randn(5, channels, 16, 16))
    for _ in range(5):  # the fault shows by what lies behind a buffer: not each time
        with sound_convolutions():
            y = functional.conv2d(x, weight, stride=stride)
        g = torch.randn_like(y)
        (found,) = torch.autograd.grad(y, weight, g)
        seen = x[:, :, ::stride, ::stride].double()
        assert near(found[:, :, 0, 0], torch.einsum("nchw,nohw->oc", seen, g.double()))


@every_model
@pytest.mark.parametrize("switch", [None, True, False])
def test_gradients_of_what_is_given_channels_last(name, switch):
    """Oracle: plain autograd in float64, channels first, which takes other kernels."""
    parameters, loss = exact(name)
    expected = flat(torch.func.grad(loss, tuple(range(len(parameters))))(*parameters))
    model, given = given_channels_last(name)
    problem = Problem(model, "cross_entropy", given, channels_last=switch)
    for _ in range(5):
        assert near(problem.gradient(), expected)
    assert problem.loss() == pytest.approx(float(loss(*parameters)), rel=1e-6)


@pytest.mark.parametrize("name", [n for n in MODELS if n != "transposed"])  # that has no second derivatives
@pytest.mark.parametrize("switch", [None, True, False])
def test_hessian_products_of_what_is_given_channels_last(name, switch):
    """Oracle: torch's own second derivatives of the float64 loss, channels first."""
    parameters, loss = exact(name)
    model, given = given_channels_last(name)
    problem = Problem(model, "cross_entropy", given, channels_last=switch)
    hessian = landscape.hessian(problem)
    for seed in range(3):
        vector = torch.randn(problem.size, generator=torch.Generator().manual_seed(seed))
        pieces = vector.double().split([p.numel() for p in parameters])
        tangents = tuple(v.view_as(p) for v, p in zip(pieces, parameters, strict=True))
        _, expected = torch.autograd.functional.hvp(loss, parameters, tangents)
        assert near(hessian @ vector, flat(expected))


def test_which_convolutions_are_unsound():
    """Oracle: measured, by a sweep over shapes against float64; see the module."""
    narrow, wide = torch.zeros(8, 4, 1, 1), torch.zeros(8, 16, 1, 1)
    assert is_unsound(narrow, 2)
    assert is_unsound(narrow, (1, 2))
    assert not is_unsound(narrow, 1)
    assert not is_unsound(narrow, (1, 1))
    assert not is_unsound(narrow, 2, groups=2)
    assert not is_unsound(narrow.double(), 2)
    assert not is_unsound(wide, 2)
    assert not is_unsound(torch.zeros(8, 4, 3, 3), 2)
    assert not is_unsound(torch.zeros(8, 4, 1), 2)


def test_which_models_are_found():
    """Oracle: their definitions."""
    assert all(has_unsound_convolution(made(name)) for name in MODELS)
    assert not has_unsound_convolution(made("shortcut").double())
    assert not has_unsound_convolution(resnet(width=16, blocks=(1, 1), classes=3))
    assert not has_unsound_convolution(nn.Sequential(nn.Conv2d(4, 2, 1), nn.Conv2d(2, 2, 3, stride=2)))


def test_landscape_chooses_channels_last_only_where_it_is_sound():
    """Oracle: the layout of the images that a model is given."""
    seen = []

    class Watched(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            seen.append(x.stride()[1] == 1)
            return self.model(x)

    def layouts(model, switch, given):
        problem = Problem(Watched(copy.deepcopy(model)), "cross_entropy", given, channels_last=switch)
        seen.clear()
        assert not fastest_batch_layout(problem).channels_last or problem.may_lay_channels_last
        landscape.hessian(problem) @ problem.theta
        zoo_hsic({"a": problem}, layers=["*4"], batch_size=7)
        return any(seen)

    x, y = data()
    safe = chain(nn.Conv2d(3, 4, 3), features=4)
    assert not layouts(made("shortcut"), None, (x, y))
    assert not layouts(made("shortcut"), None, (channels_last(x), y))
    assert layouts(made("shortcut"), True, (x, y))
    assert layouts(safe, None, (x, y))
    assert not layouts(safe, False, (channels_last(x), y))


def test_safe_models_keep_their_bits():
    """Oracle: the same problem whose data and convolutions nobody looks after."""
    model, (x, y) = chain(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Conv2d(8, 16, 3, stride=2), features=16), data()
    problem = Problem(model, "cross_entropy", (channels_last(x), y))
    assert problem.shard[0].inputs.stride() == channels_last(x).stride()
    model.requires_grad_(True).eval()
    loss = functional.cross_entropy(model(channels_last(x)), y, reduction="none").sum()
    expected = flat(torch.autograd.grad(loss, tuple(model.parameters()))) / len(y)
    assert torch.equal(problem.gradient(), expected)


def test_recipes_lay_out_channels_last_only_where_it_is_sound():
    """Oracle: strides of the first convolution's weights."""
    for width, last in ((2, False), (16, True)):
        kwargs = {"width": width, "blocks": (1, 1), "classes": 3, "in_channels": 3}
        model = Recipe("a", resnet, kwargs, {}, {}).build(0)
        weight = next(p for p in model.parameters() if p.ndim == 4)
        assert (weight.stride()[1] == 1) is last


def test_plain_tensors_are_in_the_order_of_their_indices():
    """Oracle: strides and numbers; what is in order is not copied."""
    x = torch.randn(2, 1, 3, 3)
    last = channels_last(x)
    assert last.is_contiguous()
    assert last.stride() == (9, 1, 3, 1)
    assert plain(last).stride() == (9, 9, 3, 1)
    assert torch.equal(plain(last), x)
    assert plain(x) is x
    (batch,) = read_batches(
        [(channels_last(torch.randn(2, 3, 4, 4)), torch.arange(2))],
        batch_size=2,
        device=torch.device("cpu"),
        dtype=None,
    )
    first = batch.channels_first()
    assert first.inputs.is_contiguous()
    assert torch.equal(first.inputs, batch.inputs)
    assert first.target is batch.target

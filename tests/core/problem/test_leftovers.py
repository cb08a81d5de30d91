"""What passes leave on a private copy is forgotten: each pass is a function of the parameters alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian, jacobian

import landscape
from landscape import Problem
from landscape.core.problem.leftovers import CopiedValues, forget, forget_between_passes


class Biased(nn.Module):
    """Scores with a table of biases that subclasses keep in evaluation mode, each in its own way."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Parameter(torch.randn(3, 4)), nn.Linear(4, 4)

    def biases(self):
        return torch.tanh(self.table * 2)

    def forward(self, x):
        return self.head(x) @ self.biases().T


class InDictionary(Biased):
    """By device, in a dictionary, dropped when it begins to train: LeViT, EfficientFormer, TinyViT."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    def train(self, mode=True):
        super().train(mode)
        if mode:
            self.kept = {}
        return self

    def biases(self):
        if self.training:
            return super().biases()
        return self.kept.setdefault("cpu", super().biases())


class OnSwitch(InDictionary):
    """Worked out when it is put into evaluation mode."""

    def train(self, mode=True):
        super().train(mode)
        if not mode:
            self.kept = {"cpu": Biased.biases(self)}
        return self


class WhenFirstAsked(Biased):
    """In an attribute, with the size it is for, never dropped."""

    def __init__(self):
        super().__init__()
        self.kept, self.size = None, 0

    def biases(self):
        if self.size != 3:
            self.kept, self.size = super().biases(), 3
        return self.kept


class AsBuffer(Biased):
    """In a buffer made in the first pass, and in a list."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def biases(self):
        if not self.seen:
            self.seen.append(super().biases())
            self.register_buffer("kept", self.seen[0], persistent=False)
        return self.kept


KINDS = [InDictionary, OnSwitch, WhenFirstAsked, AsBuffer]
DATA = torch.randn(12, 4, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 3


def made(kind):
    torch.manual_seed(0)
    return kind()


def by_hand(theta):
    """The loss as a formula of the flat parameters; no module, and nothing kept."""
    table, weight, bias = theta[:12].view(3, 4), theta[12:28].view(4, 4), theta[28:]
    x, y = DATA
    scores = (x.to(theta) @ weight.T + bias) @ torch.tanh(table * 2).T
    return nn.functional.cross_entropy(scores, y)


@pytest.mark.parametrize("how", ["trained", "evaluated", "used", "own forward"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_follows_the_parameters(kind, how):
    """Oracle: loss, gradient and Hessian of a formula at two points, by autograd."""
    model = made(kind)
    if how != "trained":
        model.eval()
    if how == "used" and kind in (InDictionary, OnSwitch):  # the others cannot be told from constants
        model(DATA[0])
    call = (lambda m, batch: m(batch[0])) if how == "own forward" else None
    problem = Problem(model, "cross_entropy", DATA, dtype=torch.float64, forward=call)
    there = problem.theta + 0.3 * torch.ones_like(problem.theta)
    for theta in (problem.theta, there, problem.theta):
        assert problem.measure(theta).loss == pytest.approx(float(by_hand(theta)), rel=1e-12)
        expected = jacobian(by_hand, theta)
        torch.testing.assert_close(problem.gradient(theta), expected, rtol=1e-9, atol=1e-12)
    exact = hessian(by_hand, problem.theta)
    product = landscape.hessian(problem) @ torch.ones_like(problem.theta)
    torch.testing.assert_close(product, exact @ torch.ones_like(problem.theta), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_given_keeps_what_it_kept(kind):
    """Oracle: the tensors themselves, before and after."""
    model = made(kind).eval()
    model(DATA[0])
    before = dict(vars(model)), dict(model._buffers)
    problem = Problem(model, "cross_entropy", DATA)
    problem.gradient()
    assert all(vars(model)[name] is value for name, value in before[0].items())
    assert all(model._buffers[name] is value for name, value in before[1].items())


@pytest.mark.parametrize("kind", KINDS)
def test_units_move_with_what_is_kept(kind):
    """Oracle: alignment compares outputs itself; with biases kept from other weights they would differ."""
    one, two = made(kind), kind()
    found = landscape.align(one, one.state_dict(), two.state_dict(), inputs=DATA[0])
    assert found.output_error < 1e-5


def test_weights_put_in_their_place_are_used():
    """Oracle: the formula at the substituted parameters; buffers and lists of parameters are no leftovers."""
    problem = Problem(made(InDictionary), "cross_entropy", DATA, dtype=torch.float64)
    there = {"table": torch.zeros(3, 4, dtype=torch.float64)}
    output, _ = problem.output(problem.first, there)
    assert not output.any()
    recurrent = nn.Sequential(nn.RNN(4, 3, batch_first=True))
    forget_between_passes(recurrent)
    x = torch.randn(2, 5, 4)
    zeros = {name: torch.zeros_like(p) for name, p in recurrent.named_parameters()}
    with torch.no_grad():
        forget(recurrent)
        recurrent(x)
        forget(recurrent)
        output, _ = torch.func.functional_call(recurrent, zeros, (x,))
        assert not output.any() and recurrent(x)[0].any()


class Counts(nn.Module):
    """Keeps its last features for others to read, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(2, 2), 0

    def forward(self, x):
        self.features, self.calls = self.layer(x), self.calls + 1
        return self.features


def test_what_a_pass_leaves_is_there_until_the_next():
    """Oracle: the output itself; what a loss reads off the model after a pass is of that pass."""
    model = Counts()
    forget_between_passes(model)
    for _ in range(3):
        forget(model)
        assert not hasattr(model, "features")
        output = model(torch.ones(1, 2))
        assert model.features is output
    forget(model)
    assert not hasattr(model, "features") and model.calls == 0


def test_copies_of_copies_forget_their_own():
    """Oracle: the attributes of either."""
    model = Counts()
    forget_between_passes(model)
    forget(model)
    model(torch.ones(1, 2))
    forget(model)
    other = copy.deepcopy(model)
    forget_between_passes(other)
    for one in (model, other):
        forget(one)
        one(torch.ones(1, 2))
    forget(other)
    assert hasattr(model, "features") and not hasattr(other, "features")


def test_tensors_with_a_graph_are_copied_wherever_they_are():
    """Oracle: torch refuses to copy them; equal values, no graph, one copy of what is met twice."""
    tensor = torch.ones(2, requires_grad=True) * 3
    whole = {"deep": [{"a": (tensor,)}, tensor]}
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(whole)
    with CopiedValues(lambda t: t.detach().clone()):
        copied = copy.deepcopy(whole)
    assert copied["deep"][1].tolist() == [3.0, 3.0] and not copied["deep"][1].requires_grad
    assert copied["deep"][0]["a"][0] is copied["deep"][1] and copied["deep"][1] is not tensor

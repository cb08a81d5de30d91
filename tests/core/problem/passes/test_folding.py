"""Folding: BatchNorm and its convolution as one, exact in values and derivatives, or left apart."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, generator
from torch import nn
from torch.nn.utils import parametrizations

import landscape
from landscape import Problem
from landscape.core.problem.batchnorm import batch_statistics, recalibrated
from landscape.core.problem.passes.folding import folding
from landscape.core.problem.passes.pieces import PassPlan


def lived_in(model, seed=0):
    """The model in float64 with statistics, slopes and offsets that are no identity."""
    g = generator(seed)
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            for tensor, low, high in ((part.running_mean, -0.5, 0.5), (part.running_var, 0.3, 2.0)):
                if tensor is None:
                    continue
                tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=g))
            if part.affine:
                with torch.no_grad():
                    part.weight.copy_(0.5 + torch.rand(part.weight.shape, generator=g))
                    part.bias.copy_(torch.rand(part.bias.shape, generator=g) - 0.5)
    return model.double()


def data(n=9, shape=(2, 5, 5)):
    return torch.randn(n, *shape, generator=generator(3), dtype=torch.float64), torch.arange(n) % 3


class Net(nn.Module):
    """Convolutions of several kinds, each with BatchNorm, a shortcut, and one without."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding="same", groups=2)
        self.norm2 = nn.BatchNorm2d(4, affine=False, eps=0.1)
        self.third = nn.Conv2d(4, 3, 2, stride=2, padding=1, padding_mode="circular")
        self.norm3 = nn.BatchNorm2d(3)
        self.plain = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = torch.tanh(self.norm(self.first(x)))
        x = torch.tanh(self.norm2(self.second(x)) + x)
        return self.plain(torch.tanh(self.norm3(self.third(x)))).mean((2, 3))


def problem_of(model, **options):
    return Problem(
        lived_in(model), "cross_entropy", data(), weight_decay=0.01, check_derivatives=False, **options
    )


def apart(problem):
    """The same problem, never folded."""
    other = problem.on(problem.batches)
    other.passes = PassPlan(folds=[])
    return other


def folds(problem):
    problem.loss()
    return 0 if problem.passes.folds is None else len(problem.passes.folds)


def test_values_and_derivatives_are_those_of_the_two_layers():
    """Oracle: autograd of the loss in plain torch, where BatchNorm runs by itself; float64."""
    problem = problem_of(Net())
    assert folds(problem) == 3
    model = lived_in(Net())
    model.load_state_dict(problem.module.state_dict())
    x, y = data()
    parameters = list(model.eval().parameters())
    loss = F.cross_entropy(model(x), y) + 0.005 * sum(p.square().sum() for p in parameters)
    slopes = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([s.reshape(-1) for s in slopes])
    assert problem.loss() == pytest.approx(loss.item(), rel=1e-13)
    torch.testing.assert_close(problem.gradient(), flat.detach(), rtol=1e-11, atol=1e-13)
    V = torch.randn(problem.size, 2, generator=generator(5), dtype=torch.float64)
    rows = [torch.autograd.grad(flat, parameters, v, retain_graph=True) for v in V.T]
    expected = torch.stack([torch.cat([r.reshape(-1) for r in row]) for row in rows], 1)
    H = landscape.hessian(problem)
    for _ in range(3):  # not kept, and kept
        torch.testing.assert_close(H @ V, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("make", [landscape.ggn, landscape.fisher, landscape.empirical_fisher])
def test_products_with_jacobians(make):
    """Oracle: the same operator of layers apart, itself tested against Jacobians."""
    problem = problem_of(Net())
    assert folds(problem) == 3
    V = torch.randn(problem.size, 2, generator=generator(5), dtype=torch.float64)
    torch.testing.assert_close(make(problem) @ V, make(apart(problem)) @ V, rtol=1e-10, atol=1e-12)


def test_one_and_three_dimensions():
    """Oracle: the layers apart."""
    for convolution, norm, shape in (
        (nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), (2, 6)),
        (nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3), (2, 3, 3, 3)),
    ):
        model = nn.Sequential(convolution, norm, nn.Tanh(), nn.Flatten(2))
        net = nn.Sequential(model, nn.AdaptiveAvgPool1d(1), nn.Flatten())
        problem = Problem(lived_in(net), "cross_entropy", data(shape=shape), check_derivatives=False)
        assert folds(problem) == 1
        assert problem.loss() == pytest.approx(apart(problem).loss(), rel=1e-13)
        torch.testing.assert_close(problem.gradient(), apart(problem).gradient(), rtol=1e-11, atol=1e-13)


def test_points_and_statistics_that_change_are_followed():
    """Oracle: the layers apart, at another point, by moments pooled anew, and of the batch."""
    problem = problem_of(Net())
    assert folds(problem) == 3
    other = problem.theta + 0.1
    for theta in (other, problem.theta):
        assert problem.measure(theta).loss == pytest.approx(apart(problem).measure(theta).loss, rel=1e-13)
    with recalibrated(problem):
        assert problem.loss() == pytest.approx(apart(problem).loss(), rel=1e-13)
    with batch_statistics(problem):
        assert problem.loss() == apart(problem).loss()
    assert problem.loss() == pytest.approx(apart(problem).loss(), rel=1e-13)
    assert not any("forward" in vars(part) for part in problem.module.modules())


def test_who_is_looked_at_stays_apart():
    """Oracle: the maps that hooks see: those of the layers, bit for bit, whenever the hooks came."""
    seen = []
    for early in (False, True):
        problem = problem_of(Net())
        if not early:
            assert folds(problem) == 3
        handle = problem.module.first.register_forward_hook(lambda m, i, o: seen.append(o.clone()))
        problem.loss()
        handle.remove()
        x = problem.first.inputs
        assert torch.equal(seen[-1], problem.module.first(x).detach())
        assert folds(problem) == 3  # afterwards, in either order


def test_passes_that_look_at_layers_run_them_apart():
    """Oracle: bits of the plain model: outside of `folding` nothing is folded."""
    problem = problem_of(Net())
    assert folds(problem) == 3
    output, _ = problem.output(problem.first)
    assert torch.equal(output, problem.module(problem.first.inputs).detach())
    with folding(problem):
        assert not torch.equal(problem.output(problem.first)[0], output)
    torch.testing.assert_close(problem.output(problem.first)[0], output, rtol=0, atol=0)


class Both(nn.Module):
    """Somebody else reads what the convolution puts out."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.convolution, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        self.other = nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.convolution(x)
        if self.how == "before":
            z = y * 2
        z = self.norm(torch.relu(y) if self.how == "between" else y)
        if self.how in ("shortcut", "before"):
            z = z + y
        if self.how == "unseen":
            z = z + _Identity.apply(y)
        if self.how == "two norms":
            z = z + self.other(y)
        if self.how == "twice":
            z = z + self.norm(self.convolution(x.flip(-1)))
        if self.how == "in place":
            z = self.norm(self.convolution(x).mul_(2.0))
        return z.mean((2, 3))


class _Identity(torch.autograd.Function):
    """What no mode sees."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return g


@pytest.mark.parametrize("how", ["between", "before", "shortcut", "unseen", "two norms", "twice", "in place"])
def test_layers_that_others_read_stay_apart(how):
    """Oracle: the plain model, bit for bit."""
    problem = problem_of(Both(how))
    assert folds(problem) == 0
    assert problem.loss() == apart(problem).loss()


def test_layers_that_are_not_plain_stay_apart():
    """Oracle: by construction: batch statistics alone, norms of another kind, no convolution before."""
    models = [
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten()),
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.GroupNorm(3, 3), nn.Flatten()),
        nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 5), nn.Flatten()),
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3), nn.Flatten()),
        nn.Sequential(nn.ConvTranspose2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten()),
    ]
    assert [folds(problem_of(model)) for model in models] == [0] * 5
    assert folds(CASES["conv_batchnorm"].problem(batchnorm="train")) == 0


def test_weights_that_are_made_of_others_are_folded():
    """Oracle: the layers apart: gradients by what a normalised weight is made of."""
    convolution = parametrizations.weight_norm(nn.Conv2d(2, 3, 3))
    problem = problem_of(
        nn.Sequential(convolution, nn.BatchNorm2d(3), nn.Tanh(), nn.AvgPool2d(3), nn.Flatten())
    )
    assert folds(problem) == 1
    torch.testing.assert_close(problem.gradient(), apart(problem).gradient(), rtol=1e-11, atol=1e-13)


class Turning(nn.Module):
    """Goes other ways on other data: round its BatchNorm."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        self.second, self.norm2 = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        usual = x.shape[-1] == 5
        y = self.convolution(x)
        y = self.second(torch.tanh(self.norm(y) if usual else y))
        return self.norm2(y).mean((2, 3))


class Crossing(Turning):
    """To the other's BatchNorm."""

    def forward(self, x):
        norms = (self.norm, self.norm2) if x.shape[-1] == 5 else (self.norm2, self.norm)
        y = torch.tanh(norms[0](self.convolution(x)))
        return norms[1](self.second(y)).mean((2, 3))


@pytest.mark.parametrize("model", [Turning, Crossing])
def test_a_model_that_goes_other_ways_on_other_data_is_not_folded_there(model):
    """Oracle: the layers apart, on data where convolutions are read by no BatchNorm, or another."""
    problem = problem_of(model())
    assert folds(problem) == 2
    wide = [problem.first.replace(problem.first.inputs, torch.cat([problem.first.inputs] * 2, 3))]
    expected = apart(problem).measure(batches=wide).loss
    assert problem.measure(batches=wide).loss == expected
    assert problem.passes.folds == []


def test_every_case_is_as_it_was():
    """Oracle: the layers apart, where there is anything to fold or not."""
    for name, case in CASES.items():
        problem = case.problem()
        assert problem.loss() == pytest.approx(apart(problem).loss(), rel=1e-13), name


class Gate(nn.Module):
    """A ReLU whose active units are those that another pass had, once they were taken down."""

    def __init__(self):
        super().__init__()
        self.active = None

    def forward(self, x):
        return torch.relu(x) if self.active is None else x * self.active


def gated():
    """An untrained network of ReLUs in float32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), Gate()]
        for _ in range(4):
            layers += [nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), Gate()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()


def both_ways(model, x, y):
    """Problems of a model on one batch, folded and apart."""
    problem = Problem(model, "cross_entropy", [(x, y)], check_derivatives=False)
    assert folds(problem) == sum(isinstance(part, nn.Conv2d) for part in model)
    return problem, apart(problem)


def test_in_float32_folding_is_exact_to_rounding_where_no_unit_changes_sides():
    """Oracle: autograd in float64, whose active units both ways are given; no way is the nearer for it."""
    x, y = data(8, (2, 16, 16))
    model = gated()
    exact = copy.deepcopy(model).double()
    for gate in (part for part in exact if isinstance(part, Gate)):
        gate.register_forward_hook(lambda m, i, o: setattr(m, "taken", i[0] > 0))
    slopes = torch.autograd.grad(F.cross_entropy(exact(x), y), list(exact.parameters()))
    expected = torch.cat([s.reshape(-1) for s in slopes])
    for problem in both_ways(model, x.float(), y):
        for gate, there in zip(problem.module, exact, strict=True):
            if isinstance(gate, Gate):
                gate.active = there.taken
        error = (problem.gradient() - expected).norm() / expected.norm()
        assert float(error) < 2e-6


def test_a_unit_within_rounding_of_its_kink_may_go_to_either_side():
    """Oracle: the moments, made so that every unit is 0 but for rounding: outputs agree, slopes need not."""
    model = nn.Sequential(nn.Conv2d(1, 200, 1, bias=False), nn.BatchNorm2d(200), nn.ReLU(), nn.Flatten())
    model.eval()
    x = torch.full((8, 1, 1, 1), 0.7)
    with torch.no_grad():
        model[0].weight.uniform_(0.5, 1.5, generator=generator(0))
        model[1].running_mean.copy_(model[0](x[:1]).flatten())
        model[1].running_mean[:8] -= 1.0  # but for those of the labels, which set the scale
        model[1].running_var.uniform_(0.3, 2.0, generator=generator(1))
    together, alone = both_ways(model, x, torch.arange(8))
    assert together.loss() == pytest.approx(alone.loss(), rel=1e-6)
    slopes = [problem.gradient()[408:] != 0 for problem in (together, alone)]  # by the offsets of the others
    differ = int((slopes[0] != slopes[1]).sum())
    assert 20 < differ < 172

"""Evaluation along paths against closed forms, plain torch and hand-made statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, ConvNet, images, regression, snapshot, vectors
from torch import nn

from landscape import Problem, hessian
from landscape.core.connectivity.barriers import chord_gap
from landscape.core.connectivity.curve import Curve, straight
from landscape.core.connectivity.end_states import curve_evaluator
from landscape.core.data.batches import read_batches
from landscape.core.problem.states import full_state
from landscape.errors import InputError


def seeded(build, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build().double()


def conv_pair():
    """A problem with BatchNorm and two states whose statistics differ."""
    a, b = seeded(ConvNet, 1), seeded(ConvNet, 2)
    problem = Problem(a, "cross_entropy", images(24), batch_size=10)
    return problem, a.state_dict(), b.state_dict()


def line_of(problem, a, b, **options):
    space = problem.space
    return curve_evaluator(problem, straight(space.flatten(a), space.flatten(b)), a, b, **options)


def losses(measure):
    return measure.losses.numpy().tobytes()


def test_chord_gap_of_a_quadratic():
    """Oracle: L is quadratic, so E(t) − chord = −½ t(1−t) ΔᵀHΔ, with H by Hessian products."""
    x, y = regression(17)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(4, 1).double()
    problem = Problem(model, "half_squared_error", (x, y), weight_decay=0.2)
    g = torch.Generator().manual_seed(3)
    a, b = (torch.randn(problem.size, generator=g, dtype=torch.float64) for _ in range(2))
    run = curve_evaluator(problem, straight(a, b), a, b)
    t = np.linspace(0, 1, 11)
    E = [run.measure(float(s))[0].loss for s in t]
    step = b - a
    bend = float(step @ (hessian(problem) @ step))
    np.testing.assert_allclose(chord_gap(t, E), -0.5 * t * (1 - t) * bend, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_ends_are_the_checkpoints_bit_for_bit_under_keep(name):
    """Oracle: a Problem made of each model anew, with its own statistics."""
    case = CASES[name]
    models = [seeded(case.model, seed) for seed in (1, 2)]
    own = [Problem(m, case.loss, case.data(), batch_size=5, weight_decay=0.1) for m in models]
    run = line_of(own[0], *(m.state_dict() for m in models), policy="checkpoint")
    for t, problem in zip((0.0, 1.0), own, strict=True):
        (found,) = run.measure(t)
        expected = problem.measure()
        assert found.loss == expected.loss
        if expected.losses is not None:
            assert losses(found) == losses(expected)
    assert own[0].loss() == run.measure(0.0)[0].loss


def test_two_layer_linear_nets():
    """Oracle: closed form. (A, B) and (MA, BM⁻¹) compute BA; between them the product is a quadratic in t.

    W(t) = ((1−t)B + tBM⁻¹)((1−t)A + tMA) = BA + t(1−t) B(M + M⁻¹ − 2I)A.
    """
    g = torch.Generator().manual_seed(0)
    A, B, M = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((3, 4), (2, 3), (3, 3)))
    x, y = (torch.randn(20, k, generator=g, dtype=torch.float64) for k in (4, 2))
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)).double()
    states = [{"0.weight": A, "1.weight": B}, {"0.weight": M @ A, "1.weight": B @ M.inverse()}]
    problem = Problem(model, "half_squared_error", (x, y))
    run = line_of(problem, *states)
    for t in (0.0, 0.2, 0.5, 0.9, 1.0):
        W = B @ A + t * (1 - t) * B @ (M + M.inverse() - 2 * torch.eye(3)) @ A
        exact = 0.5 * (x @ W.T - y).square().sum(1).mean()
        assert run.measure(t)[0].loss == pytest.approx(exact.item(), rel=1e-12)
    assert run.measure(0.0)[0].loss == pytest.approx(run.measure(1.0)[0].loss, rel=1e-12)


def test_interpolated_statistics():
    """Oracle: a plain model with interpolated parameters and buffers loaded into it."""
    problem, a, b = conv_pair()
    run = line_of(problem, a, b, policy="interpolate")
    for t in (0.0, 0.3, 1.0):
        mixed = ConvNet().double().eval()
        mixed.load_state_dict({k: torch.lerp(a[k], b[k], t) if a[k].is_floating_point() else a[k] for k in a})
        expected = nn.functional.cross_entropy(mixed(images(24)[0]), images(24)[1])
        assert run.measure(t)[0].data_loss == pytest.approx(expected.item(), rel=1e-12)


def test_recalibrated_statistics_pool_the_training_batches():
    """Oracle: the layer's input over all training data at once, mean and 1/n variance, set by hand."""
    problem, a, b = conv_pair()
    held_out = images(7)
    test = read_batches(held_out, batch_size=7, device=problem.device, dtype=None)
    run = line_of(problem, a, b, policy="recalibrate", test=test)
    mixed = ConvNet().double().eval()
    mixed.load_state_dict({k: torch.lerp(a[k], b[k], 0.4) if a[k].is_floating_point() else a[k] for k in a})
    features = mixed.body[0](images(24)[0])
    mixed.body[1].running_mean.copy_(features.mean((0, 2, 3)).detach())
    mixed.body[1].running_var.copy_(features.var((0, 2, 3), correction=0).detach())
    for found, (x, y) in zip(run.measure(0.4), (images(24), held_out), strict=True):
        expected = nn.functional.cross_entropy(mixed(x), y)
        assert found.data_loss == pytest.approx(expected.item(), rel=1e-10)


def test_repair_gives_activations_the_interpolated_scale():
    """Oracle: moments of hidden outputs, taken with a hook of the test's own in one batch of all data."""
    build = lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))  # noqa: E731
    models = [seeded(build, seed) for seed in (1, 2)]
    problem = Problem(models[0], "cross_entropy", vectors(50), batch_size=50)
    run = line_of(problem, *(m.state_dict() for m in models), policy="repair")

    def hidden(t):
        seen = {}
        with run.at(t):
            handles = [
                problem.module[i].register_forward_hook(lambda m, x, y, i=i: seen.update({i: y.detach()}))
                for i in (0, 2, 4)
            ]
            problem.measure()
            for handle in handles:
                handle.remove()
        return seen

    start, middle, end = hidden(0.0), hidden(0.3), hidden(1.0)
    for i in (0, 2):
        for moment in (lambda y: y.mean(0), lambda y: y.std(0, correction=0)):
            expected = torch.lerp(moment(start[i]), moment(end[i]), 0.3)
            varies = middle[i].std(0) > 1e-9
            np.testing.assert_allclose(moment(middle[i])[varies], expected[varies], rtol=1e-9, atol=1e-12)
    for t, model in zip((0.0, 1.0), models, strict=True):
        own = Problem(model, "cross_entropy", vectors(50), batch_size=50)
        assert run.measure(t)[0].loss == own.loss()


def test_repair_of_a_path_that_does_not_move_changes_nothing():
    """Oracle: the model itself: its activations have their own moments already."""
    model = seeded(CASES["mlp"].model, 1)
    problem = Problem(model, "cross_entropy", vectors())
    run = line_of(problem, model.state_dict(), model.state_dict(), policy="repair")
    assert run.measure(0.5)[0].loss == pytest.approx(problem.loss(), rel=1e-12)


def test_any_path_is_measured_at_its_points():
    """Oracle: `Problem.measure` at the point, bit for bit; the state afterwards is the checkpoint's."""
    problem, a, b = conv_pair()
    space = problem.space
    middle = torch.randn(problem.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    path = Curve("bezier", torch.stack([space.flatten(a), middle, space.flatten(b)]))
    run = curve_evaluator(problem, path, a, space.flatten(b))
    before = problem.loss()
    assert run.measure(0.25)[0].loss == problem.measure(path.point(0.25)).loss
    assert problem.loss() == before


def test_the_models_are_untouched():
    """Oracle: bits, modes, hooks, buffers and the random state of the caller's models before and after."""
    a, b = seeded(ConvNet, 1), seeded(ConvNet, 2)
    before = snapshot(a), snapshot(b)
    problem = Problem(a, "cross_entropy", images(24), batch_size=10)
    own = snapshot(problem.module)
    for policy in ("checkpoint", "interpolate", "recalibrate", "repair"):
        line_of(problem, a.state_dict(), b.state_dict(), policy=policy).measure(0.5)
    assert (snapshot(a), snapshot(b)) == before
    assert snapshot(problem.module)["bits"] == own["bits"]
    assert snapshot(problem.module)["hooks"] == own["hooks"]


def test_full_state():
    """Oracle: the state_dict itself; for a vector, the model's own buffers."""
    problem, a, b = conv_pair()
    assert all(torch.equal(full_state(problem, b)[k], b[k]) for k in b)
    vector = problem.space.flatten(b)
    mixed = full_state(problem, vector)
    for name, tensor in mixed.items():
        assert torch.equal(tensor, b[name] if name in problem.space.names else a[name])
    with pytest.raises(InputError, match="shape"):
        line_of(problem, a, b | {"body.1.running_mean": torch.zeros(7)})


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x).relu())


def test_a_tied_weight_has_one_value_in_a_full_state():
    """Oracle: the state_dict of the model that the vector was taken from."""
    a, b = seeded(Tied, 1), seeded(Tied, 2)
    problem = Problem(a, "cross_entropy", vectors(12))
    theirs = b.state_dict()
    for given in (problem.space.flatten(theirs), {"first.weight": theirs["first.weight"]}):
        whole = full_state(problem, given)
        assert all(torch.equal(whole[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("policy", ["checkpoint", "interpolate", "recalibrate"])
def test_parameters_that_are_not_chosen_are_interpolated(policy):
    """Oracle: the same line with all parameters chosen."""
    a, b = (seeded(CASES["mlp"].model, seed) for seed in (1, 2))
    whole, part = (Problem(a, "cross_entropy", vectors(), parameters=p) for p in (None, "*bias"))
    runs = [line_of(p, a.state_dict(), b.state_dict(), policy=policy) for p in (whole, part)]
    for t in (0.0, 0.3, 0.5, 1.0):
        assert runs[0].measure(t)[0].loss == pytest.approx(runs[1].measure(t)[0].loss, rel=1e-12)


def test_batch_statistics_along_a_curve():
    """Oracle: a problem with batch statistics, at the same point."""
    problem, a, b = conv_pair()
    batchwise = Problem(seeded(ConvNet, 1), "cross_entropy", images(24), batch_size=10, batchnorm="batch")
    run = line_of(problem, a, b, policy="batch")
    point = run.subset.point(0.3)
    assert run.measure(0.3)[0].loss == batchwise.measure(point).loss

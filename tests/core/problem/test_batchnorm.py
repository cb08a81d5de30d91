"""BatchNorm modes: pooled moments by hand, and nothing left behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, ConvNet, images, snapshot, uneven
from torch import nn

from landscape import Problem
from landscape.core.problem.batchnorm import batch_statistics, policy_in_force, recalibrated, running_layers
from landscape.errors import InputError


def net():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return ConvNet().double()


def problem_of(sizes=(6, 3, 4), model=None):
    return Problem(model or net(), "cross_entropy", uneven(images(), list(sizes)))


def inputs_of_norm(model, x):
    return model.body[0](x).detach().numpy()


def test_statistics_are_pooled_over_uneven_batches():
    """Oracle: NumPy's mean and variance over all images at once; a mean of batch values would differ."""
    problem = problem_of()
    h = inputs_of_norm(net(), images()[0])
    with recalibrated(problem):
        norm = problem.module.body[1]
        np.testing.assert_allclose(norm.running_mean, h.mean((0, 2, 3)), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(norm.running_var, h.var((0, 2, 3)), rtol=1e-12)


def test_a_layer_called_by_keyword_gives_the_same_moments():
    """Oracle: the moments of the same layer called by place."""

    class ByKeyword(nn.Module):
        def __init__(self, norm):
            super().__init__()
            self.norm = norm

        def forward(self, x):
            return self.norm(input=x)

    by_place, by_keyword = problem_of(), net()
    by_keyword.body[1] = ByKeyword(by_keyword.body[1])
    named = problem_of(model=by_keyword)
    with recalibrated(by_place), recalibrated(named):
        want, found = by_place.module.body[1], named.module.body[1].norm
        torch.testing.assert_close(found.running_mean, want.running_mean, rtol=0, atol=0)
        torch.testing.assert_close(found.running_var, want.running_var, rtol=0, atol=0)


def test_the_loss_is_that_of_the_pooled_statistics():
    """Oracle: the network by hand, normalised with NumPy's moments."""
    problem, model = problem_of(), net()
    x, y = images()
    h = torch.from_numpy(inputs_of_norm(model, x))
    mean, var = h.mean((0, 2, 3)), h.var((0, 2, 3), correction=0)
    norm = model.body[1]
    z = (h - mean.view(3, 1, 1)) / (var.view(3, 1, 1) + norm.eps).sqrt()
    z = z * norm.weight.view(3, 1, 1) + norm.bias.view(3, 1, 1)
    logits = model.head(torch.tanh(model.body[3](torch.relu(z))).mean((2, 3)))
    with recalibrated(problem):
        assert problem.loss() == pytest.approx(nn.functional.cross_entropy(logits, y).item(), rel=1e-12)


def test_one_batch_recalibrated_is_the_batch_mode():
    """Oracle: with a single batch, its statistics are the pooled ones."""
    problem = problem_of([13])
    with recalibrated(problem):
        pooled = problem.loss()
    with batch_statistics(problem):
        assert problem.loss() == pytest.approx(pooled, rel=1e-12)
    assert abs(problem.loss() - pooled) > 1e-4


def test_a_layer_used_twice_pools_both_uses():
    """Oracle: NumPy on the concatenation of both inputs."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def forward(self, x):
            return self.norm(x) + self.norm(3 * x + 1)

    x = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    problem = Problem(Twice().double(), "cross_entropy", uneven((x, torch.arange(9) % 4), [5, 4]))
    both = np.concatenate([x.numpy(), 3 * x.numpy() + 1])
    with recalibrated(problem):
        np.testing.assert_allclose(problem.module.norm.running_mean, both.mean(0), rtol=1e-12)
        np.testing.assert_allclose(problem.module.norm.running_var, both.var(0), rtol=1e-12)


@pytest.mark.parametrize("mode", [recalibrated, batch_statistics])
def test_nothing_is_left_behind(mode):
    """Oracle: a snapshot of bits, identities, modes and hooks; also after an error within."""
    problem = problem_of()
    before, loss = snapshot(problem.module), problem.loss()
    with mode(problem):
        problem.loss()
    assert snapshot(problem.module) == before
    with pytest.raises(KeyboardInterrupt), mode(problem):
        raise KeyboardInterrupt
    assert snapshot(problem.module) == before
    assert problem.loss() == loss


def test_an_error_in_the_pass_itself_leaves_nothing(monkeypatch):
    """Oracle: the snapshot, when the second batch of the pass fails."""
    problem = problem_of()
    before = snapshot(problem.module)
    calls = []

    def failing(batch, state=None, *, real=problem.output):
        calls.append(batch)
        if len(calls) == 2:
            raise MemoryError
        return real(batch, state)

    monkeypatch.setattr(problem, "output", failing)
    with pytest.raises(MemoryError), recalibrated(problem):
        pass
    assert snapshot(problem.module) == before


def test_single_examples_are_refused_and_unused_layers_left():
    """Oracle: one entry has no variance; a layer that never runs has no inputs."""
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    problem = Problem(model, "cross_entropy", uneven((x, torch.arange(3)), [2, 1]))
    with pytest.raises(InputError, match="batch of one example"), recalibrated(problem):
        pass
    idle = net()
    idle.idle = nn.BatchNorm2d(2).double()
    with recalibrated(problem_of(model=idle)):
        pass
    assert len(running_layers(idle)) == 2
    assert running_layers(CASES["mlp"].model()) == []


def test_the_policy_in_force():
    """Oracle: the rule in the docstring, for a model with and one without BatchNorm."""
    norm, plain = CASES["conv_batchnorm"].problem(), CASES["mlp"].problem()
    batchwise = CASES["conv_batchnorm"].problem(batchnorm="batch")
    assert policy_in_force(norm, None) == "recalibrate"
    assert policy_in_force(norm, None, between_models=False) == "checkpoint"
    for asked in ("checkpoint", "batch", "recalibrate", "interpolate", "repair"):
        assert policy_in_force(norm, asked) == asked
    for asked in (None, "checkpoint", "batch", "recalibrate"):
        assert policy_in_force(plain, asked) == "checkpoint"
    assert policy_in_force(plain, "repair") == "repair"
    assert policy_in_force(norm, "frozen") == policy_in_force(norm, "keep") == "checkpoint"
    assert policy_in_force(batchwise, None) == policy_in_force(batchwise, "batch") == "batch"
    for asked in ("checkpoint", "frozen", "repair"):
        with pytest.raises(InputError, match=r"batchnorm='\w+' contradicts .* batch statistics"):
            policy_in_force(batchwise, asked, between_models=False)

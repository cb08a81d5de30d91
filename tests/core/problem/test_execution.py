"""Tuning: other micro-batches, layouts and precisions of the same problem."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, images, mlp, sentences, uneven, vectors

from landscape import Problem
from landscape.core.problem.execution import (
    BatchLayout,
    fastest_batch_layout,
    in_bfloat16,
    with_batch_layout,
)
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


@every_case
@pytest.mark.parametrize("size", [1, 4, 13, 50])
def test_another_cut_is_the_same_problem(name, size):
    """Oracle: the uncut problem, in float64: loss, losses in their order, gradient."""
    problem = CASES[name].problem(weight_decay=0.1, batch_size=5)
    other = with_batch_layout(problem, BatchLayout(size, channels_last=True))
    assert [b.size for b in other.batches] == [size] * (13 // size) + [13 % size] * (13 % size > 0)
    assert other.loss() == pytest.approx(problem.loss(), rel=1e-13)
    losses = problem.measure().losses
    if losses is not None:
        torch.testing.assert_close(other.measure().losses, losses, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(other.gradient(), problem.gradient(), rtol=1e-11, atol=1e-13)


def test_no_cut_is_no_change():
    """Oracle: bits; a cut that was chosen is not cut again by bytes, whatever they are."""
    problem = CASES["conv_batchnorm"].problem(batch_size=5)
    assert with_batch_layout(problem, BatchLayout()) is problem
    assert with_batch_layout(problem, BatchLayout(7)).passes.as_given


def test_images_are_stored_channels_last_and_nothing_else_changes():
    """Oracle: strides; the original batches keep theirs."""
    x = torch.randn(6, 3, 4, 4)
    problem = Problem(
        torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.Flatten()),
        "cross_entropy",
        (x, torch.arange(6)),
    )
    other = with_batch_layout(problem, BatchLayout(0, channels_last=True))
    assert other.batches[0].inputs.is_contiguous(memory_format=torch.channels_last)
    assert problem.batches[0].inputs.is_contiguous()
    assert torch.equal(other.batches[0].inputs, problem.batches[0].inputs)


def test_uneven_batches_are_joined_and_odd_ones_refused():
    """Oracle: the whole data; batches of other length of text cannot be joined."""
    problem = Problem(mlp().double(), "cross_entropy", uneven(vectors(), [2, 6, 5]))
    assert [b.size for b in with_batch_layout(problem, BatchLayout(4)).batches] == [4, 4, 4, 1]
    a, b = sentences(5), {k: v[:, :3] if v.ndim > 1 else v for k, v in sentences(4).items()}
    odd = Problem(CASES["transformer_dict"].model(), "cross_entropy", [a, b])
    with pytest.raises(InputError, match="differ in form"):
        with_batch_layout(odd, BatchLayout(4))
    assert fastest_batch_layout(odd).micro_batch == 0


def test_the_probe_keeps_the_meaning():
    """Oracle: where batches decide the result, they stay as they are."""
    for problem in (
        CASES["conv_batchnorm"].problem(batchnorm="train", batch_size=5),
        CASES["scalar_loss"].problem(batch_size=5),
    ):
        assert fastest_batch_layout(problem).micro_batch == 0
    x, y = images(40)
    problem = Problem(CASES["conv_batchnorm"].model(), "cross_entropy", (x, y), batch_size=40)
    assert fastest_batch_layout(problem, keep_batches=True).micro_batch == 0
    cut = fastest_batch_layout(problem)
    assert cut.micro_batch in (0, 16, 32)
    assert with_batch_layout(problem, cut).loss() == pytest.approx(problem.loss(), rel=1e-13)


def test_a_cut_that_changes_the_loss_is_not_taken(monkeypatch):
    """Oracle: a loss about the mean of its batch, though it gives one loss per example."""
    x, y = vectors(64)

    def about_the_mean(outputs, labels):
        return torch.nn.functional.cross_entropy(outputs - outputs.mean(0), labels, reduction="none")

    problem = Problem(mlp().double(), about_the_mean, (x, y), batch_size=8)
    assert with_batch_layout(problem, BatchLayout(16)).loss() != pytest.approx(problem.loss(), rel=1e-6)
    monkeypatch.setattr("landscape.core.problem.execution._seconds", lambda trial: -trial.batches[0].size)
    assert fastest_batch_layout(problem).micro_batch == 0


def test_bfloat16_is_near_and_float32_losses_stay_exact():
    """Oracle: bfloat16 keeps 8 bits, so losses agree to about 2⁻⁸; parameters stay as they are."""
    x, y = vectors(64)
    problem = Problem(mlp(), "cross_entropy", (x.float(), y))
    low = in_bfloat16(problem)
    assert low.loss() != problem.loss()
    assert low.loss() == pytest.approx(problem.loss(), rel=2**-6)
    assert low.theta.dtype == torch.float32
    point = problem.theta + 0.5
    assert low.measure(point).loss == pytest.approx(problem.measure(point).loss, rel=2**-5)
    assert low.measure(point).loss != pytest.approx(low.loss(), rel=1e-3), "no stale cast weights"
    assert problem.loss() == Problem(mlp_of(problem), "cross_entropy", (x.float(), y)).loss()
    with pytest.raises(InputError, match=r"float32 model; this one is torch\.float64"):
        in_bfloat16(CASES["mlp"].problem())


def mlp_of(problem):
    model = mlp()
    model.load_state_dict(problem.module.state_dict())
    return model

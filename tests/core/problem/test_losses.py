"""Losses per example against plain NumPy and torch, accuracy, and labels that do not fit."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import generator, mlp, vectors
from scipy import stats
from torch import nn

from landscape import Problem
from landscape.core.problem.losses import (
    LOSSES,
    VARIANCE_FLOOR,
    accuracy_per_example,
    gaussian_fisher,
    gaussian_moments,
    gaussian_outputs,
    resolve_loss,
)
from landscape.errors import InputError


def logits(*shape):
    return torch.randn(*shape, generator=generator(0), dtype=torch.float64)


def test_cross_entropy_is_minus_log_softmax():
    """Oracle: the formula in NumPy."""
    z, y = logits(6, 4), torch.arange(6) % 4
    zn = z.numpy()
    expected = np.log(np.exp(zn).sum(1)) - zn[np.arange(6), y.numpy()]
    np.testing.assert_allclose(LOSSES["cross_entropy"](z, y), expected, rtol=1e-13)


def test_cross_entropy_of_probabilities():
    """Oracle: the formula in NumPy."""
    z, p = logits(6, 4), logits(6, 4).exp().softmax(1)
    logp = z.numpy() - np.log(np.exp(z.numpy()).sum(1, keepdims=True))
    np.testing.assert_allclose(LOSSES["cross_entropy"](z, p), -(p.numpy() * logp).sum(1), rtol=1e-13)


def test_dense_cross_entropy_is_averaged_over_positions():
    """Oracle: torch's own mean, since every example has as many positions."""
    z, y = logits(5, 3, 2, 4), torch.arange(40).view(5, 2, 4) % 3
    losses = LOSSES["cross_entropy"](z, y)
    assert losses.shape == (5,)
    assert losses.mean().item() == pytest.approx(F.cross_entropy(z, y).item(), rel=1e-14)


def test_ignored_positions_count_neither_in_the_loss_nor_in_the_accuracy():
    """Oracle: torch on each example alone, which averages over the positions that count."""
    z, y = logits(4, 3, 5), torch.arange(20).view(4, 5) % 3
    y[0, 1:] = -100
    y[2, 3] = -100
    expected = [F.cross_entropy(z[i : i + 1], y[i : i + 1]).item() for i in range(4)]
    np.testing.assert_allclose(LOSSES["cross_entropy"](z, y), expected, rtol=1e-13)
    right = [(z[i].argmax(0) == y[i])[y[i] != -100].double().mean().item() for i in range(4)]
    np.testing.assert_allclose(accuracy_per_example(z, y), right, rtol=1e-13)


@pytest.mark.parametrize(
    ("shape", "target"), [((6, 3), (6, 3)), ((6, 1), (6,)), ((6,), (6, 1)), ((6, 1, 4), (6, 4))]
)
def test_squared_errors_are_means_and_half_sums(shape, target):
    """Oracle: NumPy."""
    output, wanted = logits(*shape), logits(*target) * 2
    squares = (output.numpy().reshape(6, -1) - wanted.numpy().reshape(6, -1)) ** 2
    np.testing.assert_allclose(LOSSES["mse"](output, wanted), squares.mean(1), rtol=1e-13)
    np.testing.assert_allclose(LOSSES["half_squared_error"](output, wanted), squares.sum(1) / 2, rtol=1e-13)


@pytest.mark.parametrize(
    ("shape", "target"),
    [((6, 3), (6,)), ((6,), (6, 3)), ((6, 2, 3), (6, 3, 2)), ((6, 6), (36,)), ((6, 4), (6, 2, 2))],
)
@pytest.mark.parametrize("name", ["mse", "half_squared_error"])
def test_squared_errors_never_broadcast_or_reshuffle(name, shape, target):
    """Oracle: entries would be compared with the wrong ones."""
    with pytest.raises(InputError, match="one shape"):
        LOSSES[name](logits(*shape), logits(*target))


def test_accuracy_is_that_of_numpy():
    """Oracle: argmax in NumPy."""
    z, y = logits(9, 4), torch.arange(9) % 4
    np.testing.assert_array_equal(accuracy_per_example(z, y), z.numpy().argmax(1) == y.numpy())


@pytest.mark.parametrize(
    ("output", "target"),
    [
        (logits(6, 3), logits(6, 3)),
        (logits(6), torch.zeros(6, dtype=torch.int64)),
        (logits(6, 3), torch.zeros(6, 3, dtype=torch.int64)),
        (logits(6, 1), torch.ones(6, dtype=torch.int64)),
        (logits(6, 3), None),
    ],
)
def test_no_accuracy_without_classes(output, target):
    """Oracle: nothing to be right about; one output column (regression, binary logit) has no argmax."""
    assert accuracy_per_example(output, target) is None


def test_no_accuracy_for_regression_on_whole_numbers():
    """Oracle: counts as targets are not classes."""
    x, y = vectors()
    measure = Problem(nn.Linear(4, 1).double(), "mse", (x, y)).measure()
    assert measure.correct is None
    assert np.isnan(measure.accuracy)


# Names


def scaled(output, target, factor):
    return factor * F.mse_loss(output, target)


class Squared:
    def __call__(self, output, target):
        return F.mse_loss(output, target)


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("mse", "mse"),
        (F.l1_loss, "torch.nn.functional:l1_loss"),
        (nn.CrossEntropyLoss(), "torch.nn.modules.loss:CrossEntropyLoss"),
        (functools.partial(scaled, factor=2.0), "functools:partial"),
    ],
)
def test_a_loss_has_a_name(loss, name):
    """Oracle: module and qualified name, written out."""
    assert resolve_loss(loss)[0] == name
    assert resolve_loss(Squared())[0].endswith(":Squared")


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("cross_entropi", "no loss 'cross_entropi'; did you mean 'cross_entropy'"),
        ("zzz", "known: causal_lm, cross_entropy, gaussian_nll, half_squared_error, mse, token"),
        (3.0, "name or callable; got float"),
    ],
)
def test_an_unknown_loss_is_refused(loss, words):
    """Oracle: the sentence names it and what is known."""
    with pytest.raises(InputError, match=words):
        resolve_loss(loss)


# Labels


@pytest.mark.parametrize("bad", [3, -1, 255])
def test_a_label_out_of_range_is_named_wherever_it_is(bad):
    """Oracle: the sentence names label, batch and range; the bad one sits in the last batch."""
    x, y = vectors()
    y[12] = bad
    with pytest.raises(InputError, match=rf"label {bad} in batch 2 is out of range.*3 outputs.*0\.\.\.2"):
        Problem(mlp().double(), "cross_entropy", (x, y), batch_size=5)


def test_labels_of_small_unsigned_type_are_refused_or_read_right():
    """Oracle: plain torch accepts uint8 labels; the loss must be that of int64 ones."""
    x, y = vectors()
    model = mlp().double()
    expected = Problem(model, "cross_entropy", (x, y)).loss()
    assert Problem(model, "cross_entropy", (x, y.to(torch.uint8))).loss() == expected


def test_an_example_without_any_label_is_refused():
    """Oracle: it has no loss, and would dilute the mean over examples."""
    x, y = vectors()
    y[7] = -100
    with pytest.raises(InputError, match=r"example 2 of batch 1 .* ignore index"):
        Problem(mlp().double(), "cross_entropy", (x, y), batch_size=5)


def test_an_answer_of_nan_is_neither_right_nor_wrong():
    """Oracle: by hand; argmax takes the first NaN for the largest."""
    z = torch.tensor([[0.0, 1.0], [torch.nan, 0.0], [0.0, torch.inf]])
    np.testing.assert_array_equal(accuracy_per_example(z, torch.tensor([1, 0, 1])), [1.0, np.nan, 1.0])


def test_a_function_that_takes_nothing_makes_the_loss():
    """Oracle: torch's class; a maker that fails is named with what it raised."""

    def make():
        return torch.nn.CrossEntropyLoss(label_smoothing=0.5)

    def broken():
        raise ValueError("no such smoothing")

    name, loss = resolve_loss(make)
    assert name == "torch.nn.modules.loss:CrossEntropyLoss"
    assert loss.label_smoothing == 0.5
    with pytest.raises(InputError, match=r"the loss .*broken.* has to make one.*no such smoothing"):
        resolve_loss(broken)


def test_gaussian_nll_is_a_log_density():
    """Oracle: scipy's normal density with the variance written out in NumPy; of two targets, the product."""
    output, target = logits(7, 4), torch.randn(7, 2, generator=generator(3), dtype=torch.float64)
    o, t = output.numpy(), target.numpy()
    spread = np.sqrt(np.log1p(np.exp(o[:, 2:])) + VARIANCE_FLOOR)
    expected = -stats.norm.logpdf(t, o[:, :2], spread).sum(1)
    np.testing.assert_allclose(LOSSES["gaussian_nll"](output, target), expected, rtol=1e-12)
    one = LOSSES["gaussian_nll"](output[:, [0, 2]], target[:, 0])  # targets (B,) of one output
    np.testing.assert_allclose(one, -stats.norm.logpdf(t[:, 0], o[:, 0], spread[:, 0]), rtol=1e-12)


def test_gaussian_nll_is_least_at_the_squared_error():
    """Oracle: calculus: ½ ln v + e²/(2v) is least at v = e²; at constant v it is e²/(2v) + a constant."""
    error = torch.tensor([0.3, 1.0, 2.5], dtype=torch.float64)
    best = gaussian_outputs(torch.zeros(3, 1, dtype=torch.float64), error[:, None] ** 2)
    leaf = best.clone().requires_grad_()
    (slope,) = torch.autograd.grad(LOSSES["gaussian_nll"](leaf, error).sum(), leaf)
    assert slope[:, 1].abs().max() < 1e-13
    fixed = gaussian_outputs(torch.zeros(3, 1).double(), torch.full((3, 1), 0.7).double())
    values = LOSSES["gaussian_nll"](fixed, error)
    np.testing.assert_allclose(values - values[0], (error**2 - error[0] ** 2) / 1.4, atol=1e-13)


def test_outputs_of_a_gaussian_are_the_inverse_of_its_moments():
    """Oracle: there and back, from the floor to where the softplus is the identity to rounding."""
    variance = torch.tensor([[2e-6, 1e-3, 1.0, 40.0, 1e6]], dtype=torch.float64)
    mean, back = gaussian_moments(gaussian_outputs(torch.ones_like(variance), variance))
    assert torch.equal(mean, torch.ones_like(variance))
    torch.testing.assert_close(back, variance, rtol=1e-10, atol=0)
    floor = gaussian_moments(gaussian_outputs(torch.ones(1, 2), torch.tensor([[0.0, VARIANCE_FLOOR]])))[1]
    torch.testing.assert_close(floor, torch.full((1, 2), VARIANCE_FLOOR))


def test_the_fisher_of_a_gaussian_is_the_mean_hessian_over_its_targets():
    """Oracle: Gauss-Hermite quadrature, exact for these polynomials of the target, of autograd's Hessians."""
    output = torch.tensor([[0.4, -0.7, -2.0, 1.5]], dtype=torch.float64)
    mean, variance = gaussian_moments(output)
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    want = torch.zeros(4, 4, dtype=torch.float64)
    for (a, wa), (b, wb) in itertools.product(zip(nodes, weights, strict=True), repeat=2):
        y = mean + variance.sqrt() * torch.tensor([[a, b]], dtype=torch.float64)

        def loss(o, y=y):
            return LOSSES["gaussian_nll"](o.view(1, 4), y).sum()

        want += wa * wb / (2 * np.pi) * torch.autograd.functional.hessian(loss, output[0])
    got = torch.stack([gaussian_fisher(output)(row[None])[0] for row in torch.eye(4).double()])
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_gaussian_nll_says_what_outputs_it_needs():
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=r"needs outputs \(B, 2D\).*returned \(4, 3\)"):
        LOSSES["gaussian_nll"](torch.zeros(4, 3), torch.zeros(4))
    with pytest.raises(InputError, match=r"means and targets of one shape; got \(4, 2\) and \(4, 3\)"):
        LOSSES["gaussian_nll"](torch.zeros(4, 4), torch.zeros(4, 3))

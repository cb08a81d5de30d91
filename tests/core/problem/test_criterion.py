"""Losses as a problem applies them, against torch on all the data at once in float64."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from landscape import Problem
from landscape.errors import InputError

N, C = 23, 4


def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(N, 5, generator=generator, dtype=torch.float64)
    return x, torch.randint(C, (N,), generator=generator)


def net(outputs=C, seed=1):
    torch.manual_seed(seed)
    return nn.Linear(5, outputs).double()


WEIGHT = torch.tensor([1.0, 2.0, 7.0, 0.5], dtype=torch.float64)
TARGETS = [
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(weight=WEIGHT),
    nn.CrossEntropyLoss(weight=WEIGHT.float()),
    nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2),
    nn.CrossEntropyLoss(ignore_index=2),
    nn.CrossEntropyLoss(ignore_index=2, weight=WEIGHT, label_smoothing=0.1),
    nn.CrossEntropyLoss(reduction="sum"),
    nn.CrossEntropyLoss(weight=WEIGHT, reduction="sum"),
    nn.MultiMarginLoss(p=2),
    F.cross_entropy,
    partial(F.cross_entropy, weight=WEIGHT),
    partial(F.cross_entropy, ignore_index=0, reduction="sum"),
]


@pytest.mark.parametrize("loss", TARGETS, ids=lambda loss: re.sub(" at 0x\\w+", "", str(loss))[:60])
@pytest.mark.parametrize("batch_size", [6, N])
def test_losses_of_torch_have_its_value_on_all_the_data(loss, batch_size):
    """Oracle: torch's loss and gradient of all examples at once, however they are cut into batches."""
    (x, y), model = data(), net()
    problem = Problem(model, loss, (x, y), batch_size=batch_size)
    exact = loss.to(torch.float64) if isinstance(loss, nn.Module) else loss
    value = exact(model(x), y)
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, list(model.parameters()))])
    assert problem.loss() == pytest.approx(value.item(), rel=1e-12)
    torch.testing.assert_close(problem.gradient(), gradient, rtol=1e-10, atol=1e-13)
    losses = problem.measure().losses
    assert losses.shape == (N,) and losses.mean().item() == pytest.approx(value.item(), rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        nn.BCEWithLogitsLoss(),
        nn.MSELoss(),
        nn.L1Loss(),
        nn.SmoothL1Loss(beta=0.3),
        nn.HuberLoss(delta=0.4),
        nn.MSELoss(reduction="sum"),
        nn.KLDivLoss(reduction="batchmean"),
        nn.PoissonNLLLoss(),
    ],
    ids=str,
)
def test_losses_by_entry_have_torchs_value_on_all_the_data(loss):
    """Oracle: torch's loss of all examples at once; entries are targets in (0, 1)."""
    x, model = data()[0], net()
    y = torch.rand(N, C, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    problem = Problem(model, loss, (x, y), batch_size=6)
    assert problem.loss() == pytest.approx(loss(model(x), y).item(), rel=1e-12)
    assert problem.measure().losses.shape == (N,)


def test_pixels_that_are_ignored_count_in_no_batch():
    """Oracle: torch's mean over all pixels that count of all images, of which batches hold unlike numbers."""
    torch.manual_seed(0)
    x, y = torch.randn(7, 2, 3, 3, dtype=torch.float64), torch.randint(3, (7, 3, 3))
    y[:3, 0] = 255
    y[4] = 255
    model, loss = nn.Conv2d(2, 3, 1).double(), nn.CrossEntropyLoss(ignore_index=255)
    problem = Problem(model, loss, (x, y), batch_size=3)
    assert problem.loss() == pytest.approx(loss(model(x), y).item(), rel=1e-12)
    held_out = problem.measure(batches=problem.batches[:1])
    assert held_out.data_loss == pytest.approx(loss(model(x[:3]), y[:3]).item(), rel=1e-12)
    part = problem.on(problem.batches[:1])
    assert part.loss() == pytest.approx(loss(model(x[:3]), y[:3]).item(), rel=1e-12)


def test_a_scalar_that_is_a_sum_is_taken_as_one_and_said():
    """Oracle: the sum over all examples by torch, for batches of two sizes."""
    (x, y), model = data(), net()

    def total(output, target):
        return F.cross_entropy(output, target, reduction="sum")

    problem = Problem(model, total, (x, y), batch_size=6)
    value = total(model(x), y)
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, list(model.parameters()))])
    assert problem.loss() == pytest.approx(value.item(), rel=1e-12)
    torch.testing.assert_close(problem.gradient(), gradient, rtol=1e-10, atol=1e-13)
    assert problem.provenance()["loss_reduction"] == "sum"


@pytest.mark.parametrize(
    "loss",
    [
        lambda o, t: F.cross_entropy(o, t, weight=WEIGHT),
        lambda o, t: F.cross_entropy(o @ o.T, torch.arange(len(o))),
        lambda o, t: F.cross_entropy(o, t, ignore_index=1),
        lambda o, t: F.mse_loss(o[:, 0], t.double()).sqrt(),
    ],
    ids=["class weights", "contrastive", "ignored class", "root"],
)
def test_a_scalar_that_depends_on_the_cut_is_refused_unless_there_is_one_batch(loss):
    """Oracle: on all the data at once the loss has one value, that of torch; on batches it has none."""
    (x, y), model = data(), net()
    with pytest.raises(InputError, match=r"neither a mean nor a sum .* one loss per example, shape \(B,\)"):
        Problem(model, loss, (x, y), batch_size=6)
    problem = Problem(model, loss, (x, y))
    assert problem.loss() == pytest.approx(loss(model(x), y).item(), rel=1e-12)
    with pytest.raises(InputError, match="neither a mean nor a sum"):
        problem.on_sample(10)


def test_a_model_that_has_learnt_nothing_hides_no_dependence_on_the_cut():
    """Oracle: torch's weighted mean is no mean over examples, though here all losses are alike."""
    (x, y), model = data(), net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e-5)
    assert F.cross_entropy(model(x), y, reduction="none").std() < 1e-4
    with pytest.raises(InputError, match="neither a mean nor a sum"):
        Problem(model, lambda o, t: F.cross_entropy(o, t, weight=WEIGHT), (x, y), batch_size=6)
    assert Problem(model, lambda o, t: F.cross_entropy(o, t), (x, y), batch_size=6).examples == len(x)


def test_a_loss_that_the_model_computes_is_cut_by_running_the_model_on_parts():
    """Oracle: torch's weighted mean is no mean over batches; the plain mean is."""
    x, y = data()

    class Own(nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.layer, self.weight = net(), weight

        def forward(self, x, labels):
            return F.cross_entropy(self.layer(x), labels, weight=self.weight)

    def forward(model, batch):
        return model(*batch), None

    plain = Problem(Own(None), lambda o, t: o, (x, y), forward=forward, batch_size=6)
    assert plain.loss() == pytest.approx(F.cross_entropy(net()(x), y).item(), rel=1e-12)
    assert plain.provenance()["loss_reduction"] == "batch mean"
    with pytest.raises(InputError, match="neither a mean nor a sum"):
        Problem(Own(WEIGHT), lambda o, t: o, (x, y), forward=forward, batch_size=6)


def test_entries_are_never_compared_with_those_of_other_examples():
    """Oracle: torch on vectors; (B, 1) against (B,) would make B × B pairs, of which torch only warns."""
    x, _ = data()
    y, model = x[:, 0], net(1)
    expected = (model(x)[:, 0] - y).square().mean().item()
    assert Problem(model, nn.MSELoss(), (x, y)).loss() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InputError, match=r"outputs have shape \(23, 2\) and targets \(23,\)"):
        Problem(net(2), nn.MSELoss(), (x, y))


def test_a_loss_class_is_made_or_refused_in_a_sentence():
    """Oracle: the instance that the class makes; a class that needs arguments cannot be made."""
    (x, y), model = data(), net()
    made = Problem(model, nn.CrossEntropyLoss, (x, y))
    assert made.loss() == Problem(model, nn.CrossEntropyLoss(), (x, y)).loss()

    class Needs(nn.Module):
        def __init__(self, margin):
            super().__init__()

    with pytest.raises(InputError, match="class that cannot be made without arguments"):
        Problem(model, Needs, (x, y))

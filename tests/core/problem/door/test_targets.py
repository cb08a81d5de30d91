"""Targets: a form with one reading gives the loss of class numbers; others are told what the loss takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape import Problem
from landscape.errors import InputError

DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(21, 4, generator=DRAW), torch.randint(3, (21,), generator=DRAW)
HOT = functional.one_hot(Y)
MAPS, PIXELS = torch.randn(5, 4, 6, 6, generator=DRAW), torch.randint(3, (5, 6, 6), generator=DRAW)


def linear(outputs=3):
    torch.manual_seed(1)
    return nn.Linear(4, outputs)


def convolution():
    torch.manual_seed(1)
    return nn.Conv2d(4, 3, 1)


LABELS = {
    "int32": (Y.int(), "labels int32 -> int64"),
    "int16": (Y.short(), "labels int16 -> int64"),
    "uint8": (Y.byte(), "labels uint8 -> int64"),
    "float64": (Y.double(), "labels float64 -> int64"),
    "column": (Y[:, None], "labels (B, 1) -> (B,)"),
    "float column": (Y[:, None].float(), "labels (B, 1) -> (B,); labels float32 -> int64"),
    "one-hot": (HOT, "one-hot labels (B, 3) -> class numbers"),
    "one-hot of truth values": (HOT.bool(), "one-hot labels (B, 3) -> class numbers"),
    "one-hot bytes": (HOT.byte(), "one-hot labels (B, 3) -> class numbers"),
}
LOSSES = {
    "by name": "cross_entropy",
    "module": nn.CrossEntropyLoss(),
    "weighted": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0])),
    "function": functional.cross_entropy,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("form", LABELS)
def test_labels_of_one_reading_are_class_numbers(form, loss):
    """Oracle: torch on int64 class numbers, all examples at once; the cut into batches changes nothing."""
    labels, said = LABELS[form]
    model = linear()
    run = functional.cross_entropy if loss == "by name" else LOSSES[loss]
    problem = Problem(model, LOSSES[loss], (X, labels), batch_size=8)
    assert problem.loss() == pytest.approx(run(model(X), Y).item(), rel=1e-6)
    assert problem.measure().accuracy == pytest.approx((model(X).argmax(1) == Y).double().mean().item())
    assert problem.provenance()["converted"] == said


def test_two_classes_as_truth_values():
    """Oracle: the same as 0 and 1."""
    model = linear(2)
    expected = functional.cross_entropy(model(X), (Y > 0).long()).item()
    assert Problem(model, "cross_entropy", (X, Y > 0)).loss() == pytest.approx(expected, rel=1e-6)


def test_maps_of_labels_with_an_axis_too_many():
    """Oracle: torch on (B, H, W)."""
    model = convolution()
    expected = functional.cross_entropy(model(MAPS), PIXELS).item()
    hot = functional.one_hot(PIXELS).movedim(-1, 1)
    for labels in (PIXELS[:, None], PIXELS[:, None].byte(), hot):
        found = Problem(model, "cross_entropy", (MAPS, labels), batch_size=2).loss()
        assert found == pytest.approx(expected, rel=1e-6)


def test_class_numbers_and_probabilities_stay_as_they_are():
    """Oracle: nothing is recorded, and torch on the same targets."""
    for labels in (Y, HOT.float(), torch.softmax(X[:, :3], 1)):
        problem = Problem(linear(), "cross_entropy", (X, labels))
        assert "converted" not in problem.provenance()
        assert problem.loss() == pytest.approx(functional.cross_entropy(linear()(X), labels).item(), rel=1e-6)


ENTRIES = {
    "one logit": (nn.BCEWithLogitsLoss(), (Y > 0).float()),
    "one logit, whole numbers": (nn.BCEWithLogitsLoss(), (Y > 0).long()),
    "one logit, truth values": (nn.BCEWithLogitsLoss(), Y > 0),
    "one logit, float64": (nn.BCEWithLogitsLoss(), (Y > 0).double()),
    "numbers": (nn.MSELoss(), X[:, 0]),
    "float64 numbers": (nn.MSELoss(), X[:, 0].double()),
    "by name": ("mse", X[:, 0]),
}


@pytest.mark.parametrize("form", ENTRIES)
def test_one_number_per_example_may_lack_the_axis_of_the_outputs(form):
    """Oracle: torch on vectors of float32."""
    loss, targets = ENTRIES[form]
    model = linear(1)
    run = nn.MSELoss() if loss == "mse" else loss
    expected = run(model(X)[:, 0], targets.float())
    gradient = torch.autograd.grad(expected, list(model.parameters()))
    problem = Problem(model, loss, (X, targets), batch_size=8)
    assert problem.loss() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(problem.gradient(), torch.cat([g.reshape(-1) for g in gradient]))


def test_a_loss_of_the_user_s_own_gets_the_type_that_it_takes():
    """Oracle: torch on int64; what the loss takes as it is stays so."""

    def own(output, target):
        return functional.cross_entropy(output, target, reduction="none")

    problem = Problem(linear(), own, (X, Y.int()))
    assert problem.loss() == pytest.approx(functional.cross_entropy(linear()(X), Y).item(), rel=1e-6)
    assert problem.provenance()["converted"] == "targets int32 -> int64"
    assert "converted" not in Problem(linear(), own, (X, Y.byte())).provenance()


@pytest.mark.parametrize(
    ("outputs", "loss", "targets", "sentence"),
    [
        (3, "cross_entropy", X[:, 0], r"takes class numbers, and batch 0 has the target .* take loss='mse'"),
        (3, "cross_entropy", X[:, :2], r"takes class numbers \(B,\), or probabilities \(B, 3\)"),
        (3, "cross_entropy", HOT + HOT.roll(1, 1), "several labels per example take torch.nn.BCEWithLogits"),
        (3, "cross_entropy", HOT * 2, "not one 1 among 0"),
        (1, "cross_entropy", Y, "one output, over which cross_entropy is 0"),
        (2, "mse", X[:, :3], "one shape"),
    ],
)
def test_targets_that_cannot_be_meant(outputs, loss, targets, sentence):
    """Oracle: the sentence says what to give, and not what torch said."""
    with pytest.raises(InputError, match=sentence) as raised:
        Problem(linear(outputs), loss, (X, targets))
    assert "Error" not in str(raised.value)


def test_a_label_that_is_no_number_is_found_in_a_later_batch():
    """Oracle: the place of the odd one."""
    labels = Y.double().index_fill(0, torch.tensor([17]), 0.5)
    with pytest.raises(InputError, match=r"batch 2 has the target 0\.5"):
        Problem(linear(), "cross_entropy", (X, labels), batch_size=8)
    labels = Y.double().index_fill(0, torch.tensor([17]), float("nan"))
    with pytest.raises(InputError, match="batch 2 has the target nan"):
        Problem(linear(), "cross_entropy", (X, labels), batch_size=8)


def test_no_targets_are_said():
    """Oracle: the words."""
    with pytest.raises(InputError, match="hold no target: give"):
        Problem(linear(), "mse", [X])

"""What an answer is, read off the loss; and every kind against the flattened plain problem."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from landscape import Problem
from landscape.core.behaviour.calibration import predict
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.ood import predict_other
from landscape.core.problem.answers.classification import classification_of
from landscape.errors import InputError

G = torch.Generator().manual_seed(0)
X = torch.randn(30, 4, generator=G, dtype=torch.float64)
YES = (torch.rand(30, generator=G) < 0.4).double()
LABELS = (torch.rand(30, 5, generator=G) < 0.3).double()
SOFT = torch.randn(30, 3, generator=G).double().softmax(1)
CLASSES = torch.randint(0, 3, (30,), generator=G)
TOKENS = torch.randint(0, 3, (30, 7), generator=G)
TOKENS[torch.arange(30) % 3 == 0, 4:] = -100
TOKENS[5] = -100
PIXELS = torch.randint(0, 3, (30, 2, 2), generator=G)


def linear(outputs, *form):
    """A model from four numbers to outputs of a form."""
    torch.manual_seed(outputs)
    layers = [nn.Linear(4, outputs), *([nn.Unflatten(1, form)] if form else [])]
    return nn.Sequential(*layers).double()


def per_label(o, t):
    return F.binary_cross_entropy_with_logits(o, t, reduction="none")


LOSSES_OF_LABELS = {
    "module": nn.BCEWithLogitsLoss(),
    "weighted": nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0)),
    "function": F.binary_cross_entropy_with_logits,
    "partial": partial(F.binary_cross_entropy_with_logits, reduction="sum"),
    "mean": lambda o, t: per_label(o, t).flatten(1).mean(1),
    "sum": lambda o, t: per_label(o, t).flatten(1).sum(1),
    "scalar": lambda o, t: per_label(o, t).mean(),
    "scalar sum": lambda o, t: per_label(o, t).sum(),
}


@pytest.mark.parametrize("loss", LOSSES_OF_LABELS.values(), ids=LOSSES_OF_LABELS)
@pytest.mark.parametrize(
    ("model", "target", "name"),
    [
        (linear(1), YES[:, None], "one logit"),
        (linear(5), LABELS, "labels"),
        (linear(4, 1, 2, 2), (PIXELS > 1)[:, None].double(), "labels at positions"),
        (linear(3), F.one_hot(CLASSES, 3).double(), "labels"),  # by its loss no choice of one class
    ],
)
def test_labels_are_problems_of_two_logits(model, target, name, loss):
    """Oracle: softmax cross-entropy of logits (0, z), each label an example; losses must agree too."""
    made = predict(Problem(model, loss, (X, target), batch_size=11))
    z = model(X).detach().flatten()
    flat = predict(plain(torch.stack([torch.zeros_like(z), z], 1), target.flatten().long()))
    assert made.kind == name
    assert made.truth is None
    same(made, flat)
    assert made.nll.mean() == pytest.approx(float(per_label(z, target.flatten()).mean()), rel=1e-12)


class Logits(nn.Module):
    """Puts out what it is given, with a weight of zero to differentiate by."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        return x + self.weight


def plain(logits, labels):
    """The plain problem of these logits and labels."""
    return Problem(Logits(), "cross_entropy", (logits.detach(), labels))


def same(made, flat):
    """Every score of every answer, and so every mean over them."""
    for score in ("nll", "correct", "confidence", "brier", "entropy"):
        np.testing.assert_allclose(getattr(made, score), getattr(flat, score), rtol=1e-11, atol=1e-13)


def test_one_logit_in_any_form():
    """Oracle: the form (B, 1) of the same model; probabilities instead of logits change nothing."""
    model = linear(1)
    form = predict(Problem(model, nn.BCEWithLogitsLoss(), (X, YES[:, None])))
    others = [
        (nn.Sequential(model, nn.Flatten(0)), nn.BCEWithLogitsLoss(), YES),
        (model, lambda o, t: per_label(o[:, 0], t), YES),
        (model, lambda o, t: per_label(o.squeeze(1), t.double()), YES.long()),
        (model, lambda o, t: per_label(o.squeeze(1), t.double()), YES.bool()),
        (nn.Sequential(model, nn.Sigmoid()), nn.BCELoss(), YES[:, None]),
        (
            nn.Sequential(model, nn.Sigmoid(), nn.Flatten(0)),
            lambda o, t: F.binary_cross_entropy(o, t, reduction="none"),
            YES,
        ),
    ]
    for other, loss, target in others:
        made = predict(Problem(other, loss, (X, target)))
        assert made.kind == "one logit"
        assert made.examples is None
        same(made, form)


LOSSES_OF_CLASSES = {
    "by name": "cross_entropy",
    "module": nn.CrossEntropyLoss(),
    "smoothed": nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 3.0])),
    "function": F.cross_entropy,
    "own": lambda o, t: -(t * o.log_softmax(1)).sum(1),
}


@pytest.mark.parametrize("loss", LOSSES_OF_CLASSES.values(), ids=LOSSES_OF_CLASSES)
def test_a_soft_target_is_the_mean_over_its_labels(loss):
    """Oracle: the plain problem of each class in turn, weighted by its probability."""
    model = linear(3)
    made = predict(Problem(model, loss, (X, SOFT)))
    assert made.kind == "classes, soft targets"
    turns = [predict(plain(model(X), torch.full((30,), c))) for c in range(3)]
    for score in ("nll", "correct", "brier"):
        rows = np.stack([getattr(turn, score) for turn in turns], 1)
        np.testing.assert_allclose(getattr(made, score), (rows * SOFT.numpy()).sum(1), rtol=1e-12)
    same_of_prediction = predict(plain(model(X), CLASSES))
    np.testing.assert_allclose(made.entropy, same_of_prediction.entropy, rtol=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss(), LOSSES_OF_CLASSES["own"]])
def test_one_hot_targets_are_classes_bit_for_bit(loss):
    """Oracle: the same problem with indices."""
    made = predict(Problem(linear(3), loss, (X, F.one_hot(CLASSES, 3).double())))
    flat = predict(Problem(linear(3), "cross_entropy", (X, CLASSES)))
    assert made.kind == "classes"
    assert made.truth is None
    assert made.log_p.tobytes() == flat.log_p.tobytes()
    assert made.labels.tolist() == flat.labels.tolist()


def mean_of_tokens(o, t):
    values = F.cross_entropy(o.transpose(1, 2), t, reduction="none", ignore_index=-100)
    return values.sum(1) / (t >= 0).sum(1).clamp(min=1)


DENSE = {
    "tokens": (linear(21, 7, 3), mean_of_tokens, TOKENS, -1),
    "tokens, classes first": (linear(21, 3, 7), nn.CrossEntropyLoss(), TOKENS, 1),
    "pixels": (linear(12, 3, 2, 2), "cross_entropy", PIXELS, 1),
    "another ignored label": (linear(12, 3, 2, 2), nn.CrossEntropyLoss(ignore_index=2), PIXELS, 1),
    "soft pixels": (linear(12, 3, 2, 2), "cross_entropy", F.one_hot(PIXELS, 3).movedim(-1, 1).double(), 1),
}


@pytest.mark.parametrize(("model", "loss", "target", "axis"), DENSE.values(), ids=DENSE)
def test_positions_are_examples_of_the_flattened_problem(model, loss, target, axis):
    """Oracle: the plain problem whose examples are the positions that count; the cut into batches is none."""
    made = predict(Problem(model, loss, (X, target), batch_size=8))
    logits = model(X).detach().movedim(axis, -1).reshape(-1, 3)
    flat_labels = (target.argmax(1) if target.is_floating_point() else target).flatten()
    ignored = 2 if getattr(loss, "ignore_index", -100) == 2 else -100
    kept = flat_labels != ignored
    same(made, predict(plain(logits[kept], flat_labels[kept])))
    assert made.kind == "classes at positions"
    each = len(flat_labels) // 30
    rows = np.repeat(np.arange(30), each)[kept.numpy()]
    assert made.places.tolist() == rows.tolist()
    assert made.count == len(np.unique(rows))


def test_scores_are_those_of_another_library():
    """Oracle: scikit-learn's log loss, Brier score and area under the ROC curve of all labels together."""
    metrics = pytest.importorskip("sklearn.metrics")
    made = predict(Problem(linear(5), nn.BCEWithLogitsLoss(), (X, LABELS)))
    p, y = np.exp(made.log_p[:, 1]), LABELS.flatten().numpy()
    assert made.nll.mean() == pytest.approx(metrics.log_loss(y, p), rel=1e-12)
    assert made.brier.mean() == pytest.approx(2 * metrics.brier_score_loss(y, p), rel=1e-12)
    assert made.correct.mean() == pytest.approx(metrics.accuracy_score(y, p > 0.5))


def test_labels_outside_0_to_1_count_nowhere_in_a_loss_of_ones_own():
    """Oracle: the flattened problem of the others; torch's own loss of such labels is no likelihood."""
    target = LABELS.clone()
    target[::4, 1] = -1.0
    target[7] = torch.nan

    def masked(o, t):
        known = (t >= 0) & (t <= 1)
        values = torch.where(known, per_label(o, t.where(known, 0.0)), 0.0)
        return values.sum(1) / known.sum(1).clamp(min=1)

    made = predict(Problem(linear(5), masked, (X, target)))
    known = (target >= 0).flatten()
    z = linear(5)(X).flatten()[known]
    same(made, predict(plain(torch.stack([0 * z, z], 1), target.flatten()[known].long())))
    assert made.count == 29
    assert 7 not in made.places
    with pytest.raises(InputError, match=r"label -1 is none of binary_cross_entropy_with_logits"):
        predict(Problem(linear(5), nn.BCEWithLogitsLoss(), (X, target.nan_to_num(0.0))))


def focal(o, t):
    p = o.sigmoid()
    return ((t - p).abs() ** 2 * per_label(o, t)).mean(1)


ONE_HOT = F.one_hot(CLASSES, 3).double()


@pytest.mark.parametrize(
    ("model", "loss", "target", "message"),
    [
        (linear(5), focal, LABELS, r"\(30, 5\).*a yes or no for each entry.*none of them; say which by the"),
        (linear(3), focal, ONE_HOT, r"one class of those along axis 1 or as a yes or no.*none of them"),
        (linear(3), nn.MSELoss(), ONE_HOT, "are no such classification"),
        (linear(3), "mse", ONE_HOT, "are no such classification"),
        (linear(1), "mse", X[:, :1], "are no such classification"),
        (linear(3), lambda o, t: (o - t).square().mean(1), ONE_HOT, "none of them"),
    ],
)
def test_what_the_loss_does_not_decide_is_asked_back(model, loss, target, message):
    """Oracle: the sentence, which says what decides."""
    with pytest.raises(InputError, match=message):
        classification_of(Problem(model, loss, (X, target)))


def test_two_likelihoods_at_once_are_told_apart_at_other_outputs():
    """Oracle: with equal logits of 0 both losses of two one-hot classes are ln 2, elsewhere they differ."""
    model = linear(2)
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    target = F.one_hot((CLASSES > 0).long(), 2).double()
    for loss, kind in (
        (lambda o, t: per_label(o, t).mean(1), "labels"),
        (lambda o, t: F.cross_entropy(o, t, reduction="none"), "classes"),
    ):
        assert classification_of(Problem(model, loss, (X, target))).kind == kind


class Overflow(nn.Module):
    """Infinity less infinity."""

    def forward(self, x):
        return x * torch.inf - x * torch.inf


def test_nan_stays_nan():
    """Oracle: none is needed: what is not finite has no score."""
    model = nn.Sequential(linear(5), nn.Hardtanh(0.0, 1e308), Overflow())
    for loss in (nn.BCEWithLogitsLoss(), lambda o, t: per_label(o, t).mean(1)):
        made = predict(Problem(model, loss, (X, LABELS)))
        assert np.isnan(made.nll).all()
        assert np.isnan(made.correct).all()


def test_draws_of_a_predictive_are_of_one_class():
    """Oracle: the sentence; a mixture of logits of labels would be one of log softmaxes over them."""
    ensemble = DeepEnsemble([linear(5), linear(5)])
    with pytest.raises(InputError, match="draws of a predictive are of one of C classes"):
        predict(Problem(ensemble, nn.BCEWithLogitsLoss(), (X, LABELS)))


def test_other_data_are_read_in_the_same_way():
    """Oracle: the flattened outputs on the other data; positions of an ignored label are left out."""
    problem = Problem(*DENSE["tokens"][:2], (X, TOKENS))
    other = predict_other(problem, (X[:10] + 1, TOKENS[:10]))
    z = problem.module(X[:10] + 1).detach().reshape(-1, 3)[TOKENS[:10].flatten() != -100]
    np.testing.assert_allclose(other.log_p, z.log_softmax(-1).numpy(), rtol=1e-12)
    assert other.count == 9  # the sixth has no token
    assert len(predict_other(problem, X[:10]).labels) == 70


def test_a_loss_that_happens_to_be_a_likelihood_is_none():
    """Oracle: squares of outputs, which are 0 for inputs of 0, as the likelihood of certain answers is."""
    model = nn.Linear(4, 1, bias=False).double()
    data = (torch.zeros(6, 4).double(), torch.zeros(6).double())
    problem = Problem(model, lambda o, _: o[:, 0] ** 2, data)
    assert np.isnan(problem.measure().accuracy)
    with pytest.raises(InputError, match="none of them"):
        classification_of(problem)


@pytest.mark.parametrize(
    ("model", "loss", "target"),
    [
        (linear(1), nn.BCEWithLogitsLoss(), YES[:, None]),
        (nn.Sequential(linear(1), nn.Flatten(0)), per_label, YES),
        (nn.Sequential(linear(1), nn.Sigmoid()), nn.BCELoss(), YES[:, None]),
        (linear(5), nn.BCEWithLogitsLoss(), LABELS),
        (linear(3), nn.CrossEntropyLoss(), SOFT),
        (linear(3), "cross_entropy", F.one_hot(CLASSES, 3).double()),
    ],
    ids=["one logit", "no axis", "probabilities", "labels", "soft", "one-hot"],
)
def test_a_problem_counts_right_answers_of_every_kind(model, loss, target):
    """Oracle: the rule by hand; labels are yes where the logit is above 0, classes the largest output."""
    found = Problem(model, loss, (X, target), batch_size=30).measure()
    with torch.no_grad():
        z = model(X)
    if loss == "cross_entropy" or isinstance(loss, nn.CrossEntropyLoss):
        right = target[torch.arange(30), z.argmax(1)]
    else:
        yes = z > (0.5 if isinstance(loss, nn.BCELoss) else 0.0)
        right = (yes == (target > 0.5)).double().reshape(30, -1).mean(1)
    assert 0 < found.accuracy < 1
    torch.testing.assert_close(found.correct, right)


def test_what_is_no_classification_has_no_accuracy():
    """Oracle: there is nothing to be right about; NaN, not an error."""
    members = DeepEnsemble([linear(1), linear(1)])
    for model, loss, target in (
        (linear(1), "mse", YES[:, None]),
        (linear(3), nn.MSELoss(), SOFT),
        (members, nn.BCEWithLogitsLoss(), YES[:, None]),
    ):
        assert np.isnan(Problem(model, loss, (X, target)).measure().accuracy)

"""Classification: what an answer of a problem is, and how it is read off outputs and targets.

The loss decides. A cross-entropy asks for one of C classes, of an example or at each of its positions
(tokens, pixels); a binary cross-entropy asks each entry for a yes or no of its own: one logit, or several
labels. torch's losses are known by their class or function; of another loss, the outputs are read in each way
that their shapes allow, and its own value says which negative log-likelihood it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.problem.answers.outputs import Reading, Scale, class_axes, scale_of
from landscape.core.problem.losses import CROSS_ENTROPIES, LOSSES
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["Answers", "Classification", "classification_of", "if_any"]

Kind = Literal["classes", "labels"]

CLASS_LOSSES = ("cross_entropy", "nll_loss", "kl_div")
LABEL_LOSSES: dict[str, Scale] = {
    "binary_cross_entropy_with_logits": "logits",
    "binary_cross_entropy": "probabilities",
    "multilabel_soft_margin_loss": "logits",
}
TOLERANCE = 1e-3  # of a loss against a likelihood, as `Reading.agrees`

_KNOWN: WeakKeyDictionary[Problem, Classification] = WeakKeyDictionary()


@dataclass(frozen=True)
class Answers:
    """The answers of a batch that count.

    Attributes:
        log_p: Logarithmic probabilities up to a constant (m, C), float64.
        labels: True classes (m,); of a soft target the most probable.
        truth: Probabilities of the target (m, C), float64; ``None`` if targets are indices.
        rows: The example of each answer (m,), its number in the batch.
    """

    log_p: Tensor
    labels: Tensor
    truth: Tensor | None
    rows: Tensor


@dataclass(frozen=True)
class Classification:
    """What an answer is.

    Attributes:
        kind: ``classes``: one of C classes. ``labels``: each entry is a yes or no of its own, with the
            classes 0 (no) and 1 (yes).
        reading: Where the classes stand in outputs, whether entries are logits or probabilities, and which
            labels count.
        soft: Whether targets hold probabilities (of classes: shaped as the outputs), not indices.
        several: Whether an example has several answers.
        positions: Whether they stand at positions, such as tokens or pixels.
    """

    kind: Kind = "classes"
    reading: Reading = field(default_factory=Reading)
    soft: bool = False
    several: bool = False
    positions: bool = False

    @property
    def name(self) -> str:
        """``classes``, ``one logit`` or ``labels``, with ``at positions`` where each of these has one."""
        what = "classes" if self.kind == "classes" else "labels" if self.several else "one logit"
        return f"{what} at positions" if self.positions else what

    @property
    def plain(self) -> bool:
        """Whether each example has one answer, one of C classes given by its index."""
        return self.kind == "classes" and not (self.soft or self.several)

    def log_p(self, output: Tensor) -> Tensor:
        """Logarithmic probabilities up to a constant of every answer (m, C), float64, example by example."""
        return self.logits(output.double())

    def logits(self, values: Tensor) -> Tensor:
        """As `log_p`, in the outputs' own type."""
        if self.kind == "classes":
            found = self.reading.log_p(values)
            return found if found.ndim == 2 else found.movedim(1, -1).flatten(0, -2)
        values = values.flatten()
        if self.reading.scale == "probabilities":
            return torch.stack([torch.log1p(-values), values.log()], -1)
        return torch.stack([torch.zeros_like(values), values], -1)

    def answers(self, output: Any, target: Any) -> Answers:
        """The answers of a batch that count.

        Args:
            output: Of the model.
            target: Its target.

        Raises:
            InputError: If the batch does not fit what the first one showed.
        """
        if not self._fits(output, target):
            raise InputError(f"{_refusal(output, target)} as those of the first batch are.")
        log_p, truth = self.log_p(output), None
        counted = self.counted(target, log_p.shape[1])
        if self.kind == "labels":
            yes = target.flatten().double()
            labels, truth = (yes > 0.5).long(), torch.stack([1.0 - yes, yes], -1)
        elif self.soft:
            truth = target.double()
            if truth.ndim > 2:
                truth = truth.movedim(self.reading.axis or 1, -1).flatten(0, -2)
            labels = truth.argmax(-1)
        else:
            labels = target.flatten()
        each = len(log_p) // max(len(output), 1)
        rows = torch.arange(len(output), device=log_p.device).repeat_interleave(each)
        return Answers(
            log_p[counted], labels[counted], None if truth is None else truth[counted], rows[counted]
        )

    def correct(self, output: Any, target: Any) -> Tensor | None:
        """Share of right answers per example (B,), −1 where none counts; ``None`` if the batch does not fit.

        Of a soft target an answer is right by the probability of its class. An answer of outputs that hold
        NaN is NaN.
        """
        if not self._fits(output, target):
            return None
        if self.kind == "classes" and not self.soft:
            return self.reading.correct(output, target)
        # not by way of `answers`, which holds several numbers of each entry
        if self.kind == "labels":
            yes = output > (0.5 if self.reading.scale == "probabilities" else 0.0)
            truth = target.reshape(output.shape)
            right = torch.where(yes, truth, 1 - truth).double().masked_fill(output.isnan(), torch.nan)
            counted = (truth >= 0) & (truth <= 1)
            numbers = counted.reshape(len(output), -1).sum(1)
            sums = right.masked_fill(~counted, 0.0).reshape(len(output), -1).sum(1)
            shares: Tensor = (sums / numbers).masked_fill(numbers == 0, -1.0)
            return shares
        axis = self.reading.axis or 1
        right = target.gather(axis, output.argmax(axis, keepdim=True)).double()
        right = right.masked_fill(output.isnan().any(axis, keepdim=True), torch.nan)
        means: Tensor = right.reshape(len(output), -1).mean(1)
        return means

    def counted(self, target: Tensor, classes: int) -> Tensor:
        """Which answers have a label that counts (m,).

        Args:
            target: Of a batch.
            classes: Number of classes.
        """
        if self.kind == "labels":
            return ((target >= 0) & (target <= 1)).flatten()
        if self.soft:
            return torch.ones(target.numel() // classes, dtype=torch.bool, device=target.device)
        return self.reading.counts(target, classes).flatten()

    def right_classes(self, target: Tensor) -> Tensor:
        """The one right class of each example of a batch (B,).

        Args:
            target: Of the batch.

        Raises:
            InputError: If an example has several answers, or a target is a distribution over classes.
        """
        if self.several:
            raise InputError(
                f"this needs one answer for each example, and the problem asks for {self.name}: take one of"
                " them in a forward function of your own."
            )
        if not self.soft:
            return target
        if not bool(((target == 0) | (target == 1)).all()):
            raise InputError("this needs one right class for each example, and targets are probabilities.")
        return target.flatten().long() if self.kind == "labels" else target.argmax(-1)

    def kept(self, output: Any, target: Any) -> Tensor:
        """Which answers of other data count, whose labels do not: all but those at ignored positions (m,)."""
        if self.kind == "classes" and not self.soft and self.several and self._fits(output, target):
            counted: Tensor = target.flatten() != self.reading.ignore_index
            return counted
        return torch.ones(len(self.log_p(output)), dtype=torch.bool, device=output.device)

    def _fits(self, output: Any, target: Any) -> bool:
        if not (isinstance(output, Tensor) and isinstance(target, Tensor)):
            return False
        if self.kind == "labels":
            return _entry_by_entry(output, target)
        if self.soft:
            return output.shape == target.shape and bool(_distributions(target, self.reading.axis or 1))
        if not self.several:
            return output.ndim == 2 and output.shape[1] > 1 and target.ndim == 1 and _is_index(target)
        return self.reading.axis in class_axes(output, target)

    def of_probabilities(self, output: Tensor) -> bool:
        """Whether outputs could be those of such a classification, whatever the targets."""
        if self.kind == "labels":
            return output.ndim > 0
        return output.ndim > 2 if self.several else output.ndim == 2


@under_own_context
@torch.no_grad()
def classification_of(problem: Problem) -> Classification:
    """What an answer of a problem is, from its loss and its first batch.

    Args:
        problem: The problem.

    Raises:
        InputError: If it is no classification, or can be read in two ways that the loss does not tell apart.
    """
    known = _KNOWN.get(problem)
    if known is None:
        known = _KNOWN[problem] = _find(problem)
    return known


def if_any(problem: Problem) -> Classification | None:
    """What an answer of a problem is; ``None`` if it is no classification, or cannot be told."""
    if problem.loss_name in LOSSES and problem.loss_name not in CROSS_ENTROPIES:
        return None  # without a pass
    try:
        return classification_of(problem)
    except InputError:
        return None


def _find(problem: Problem) -> Classification:
    target = problem.first.target
    one = problem.reading.axis == 1 and isinstance(target, Tensor) and target.ndim == 1
    if one and problem.calls()[1] is None:  # no forward that gives other targets: known without a pass
        return Classification(reading=problem.reading)
    output, target = problem.output(problem.first)
    if not (isinstance(output, Tensor) and isinstance(target, Tensor)):
        raise InputError(f"{_refusal(output, target)}.")
    plain = Classification(reading=problem.reading)
    if plain._fits(output, target):  # with a loss of whatever kind, such as one of margins
        return plain
    found = list(_readings(output, target, problem.reading))
    name = problem.criterion.of_torch
    if name in CLASS_LOSSES:
        found = [c for c in found if c.kind == "classes"][:1]
    elif name in LABEL_LOSSES:
        wanted = LABEL_LOSSES[name]
        found = [c for c in found if c.kind == "labels"][:1]
        found = [replace(c, reading=replace(c.reading, scale=wanted)) for c in found]
        _check_range(problem, target, name)
    elif name or problem.loss_name in ("mse", "half_squared_error"):
        found = []
    elif found and (found[0].soft or problem.reading.axis is None):
        found = _agreeing(problem, output, target, found)
    if not found:
        raise InputError(f"{_refusal(output, target)}.")
    if getattr(problem.module, "one_class_alone", False) and (found[0].several or found[0].kind == "labels"):
        raise InputError(
            "draws of a predictive are of one of C classes for each example, logits (B, C); this problem asks"
            f" for {found[0].name}."
        )
    return found[0]


def _refusal(output: Any, target: Any) -> str:
    shapes = [tuple(t.shape) if isinstance(t, Tensor) else type(t).__name__ for t in (output, target)]
    return (
        "scores of probabilities need logits (B, C, ...) with class indices or class probabilities, or one"
        f" logit for each label from 0 to 1, and a loss that says so; outputs {shapes[0]} and targets"
        f" {shapes[1]} are no such classification"
    )


def _readings(output: Tensor, target: Tensor, reading: Reading) -> Iterator[Classification]:
    """The ways to read outputs beside their targets that their shapes allow, but for the plain one."""
    axes = class_axes(output, target)
    # Where the problem has found the axis of the classes, it is that.
    for axis in (reading.axis,) if reading.axis in axes else axes:
        if axis is not None and output.shape[axis] > 1:
            own = replace(reading, axis=axis, scale=scale_of(output, axis))
            yield Classification("classes", own, several=True, positions=True)
    if output.shape == target.shape:
        for axis in (1, -1) if output.ndim > 2 else (1,):
            if output.ndim > 1 and output.shape[axis] > 1 and _distributions(target, axis):
                own = replace(reading, axis=axis, scale=scale_of(output, axis))
                dense = output.ndim > 2
                yield Classification("classes", own, soft=True, several=dense, positions=dense)
    if _entry_by_entry(output, target):
        some = ((target >= 0) & (target <= 1)).flatten()
        several, positions = output[0].numel() > 1, sum(n > 1 for n in output.shape[1:]) > 1
        scales: list[Scale] = ["logits"]
        if bool(((output >= 0) & (output <= 1)).all()):
            scales.append("probabilities")
        for scale in scales if bool(some.any()) else ():
            own = replace(reading, axis=None, scale=scale)
            yield Classification("labels", own, soft=True, several=several, positions=positions)


def _agreeing(
    problem: Problem, output: Tensor, target: Tensor, found: list[Classification]
) -> list[Classification]:
    """The one reading whose negative log-likelihood the loss is.

    Raises:
        InputError: If there are several, or none.
    """
    with torch.set_grad_enabled(problem._derives):  # a loss that derives by its inputs needs a graph
        losses = problem.batch_losses(problem.first).detach().double() / problem.criterion.scale
        agreeing = [c for c in found if _agrees(c, output, target, losses)]
        # On few examples, or easy ones, another loss may happen to be that number: and at other outputs?
        for c in tuple(agreeing):
            other = _moved(output, c.reading)
            elsewhere = problem._losses(other, target).detach().double() / problem.criterion.scale
            if not _agrees(c, other, target, elsewhere):
                agreeing.remove(c)
    if len(agreeing) == 1:
        return agreeing
    if not bool(losses.isfinite().all()) and len({(c.kind, c.reading.axis) for c in found}) == 1:
        return found[:1]  # nothing to compare, and nothing to choose
    count = "more than one of them" if agreeing else "none of them"
    raise InputError(
        f"outputs {tuple(output.shape)} and targets {tuple(target.shape)} can be read as"
        f" {' or as '.join(dict.fromkeys(_in_words(c) for c in found))}, and the loss {problem.loss_name} is"
        f" the negative log-likelihood of {count}; say which by the loss: torch.nn.BCEWithLogitsLoss() for"
        " yes or no, 'cross_entropy' for one class."
    )


def _moved(output: Tensor, reading: Reading) -> Tensor:
    """Other outputs of the same scale: logits moved by up to a half, probabilities halfway to even ones."""
    if reading.scale == "logits":
        return output + torch.linspace(-0.5, 0.5, output.numel()).to(output).view_as(output)
    even = 0.5 if reading.axis is None else 1.0 / output.shape[reading.axis]
    p = output.exp() if reading.scale == "log_probabilities" else output
    p = (p + even) / 2
    return p.log() if reading.scale == "log_probabilities" else p


def _in_words(reading: Classification) -> str:
    if reading.kind == "labels":
        return f"a yes or no for each entry, given as {reading.reading.scale}"
    along = "axis 1" if reading.reading.axis == 1 else "the last axis"
    return f"one class of those along {along}"


def _agrees(reading: Classification, output: Tensor, target: Tensor, losses: Tensor) -> bool:
    """Whether losses are the negative log-likelihood of answers: of an example's, the mean or the sum."""
    made = reading.answers(output, target)
    log_p = F.log_softmax(made.log_p, dim=1)
    truth = F.one_hot(made.labels, log_p.shape[1]) if made.truth is None else made.truth
    entries = -torch.where(truth > 0, truth * log_p, 0.0).sum(1)
    sums = torch.zeros(len(output), dtype=torch.float64, device=entries.device).index_add(
        0, made.rows, entries
    )
    counts = torch.bincount(made.rows, minlength=len(output))
    some = counts > 0
    means = (sums / counts)[some]
    if losses.ndim == 1 and len(losses) == len(output):
        return any(_close(losses[some], found) for found in (means, sums[some]))
    totals = (entries.mean(), means.mean(), sums.mean(), sums.sum())
    return any(_close(losses.reshape(-1)[:1], found.reshape(1)) for found in totals)


def _close(losses: Tensor, found: Tensor) -> bool:
    return bool(((losses - found).abs() <= TOLERANCE * losses.abs().clamp(min=1.0)).all())


def _check_range(problem: Problem, target: Tensor, name: str) -> None:
    """Raise if a binary cross-entropy meets targets that are no probabilities: it is no likelihood then."""
    for batch in problem._all:  # whichever process keeps it
        given = batch.target if isinstance(batch.target, Tensor) else target
        outside = given[~((given >= 0) & (given <= 1))]
        if outside.numel():
            raise InputError(
                f"label {float(outside.flatten()[0]):g} is none of {name}, whose labels lie between 0 and 1;"
                " leave such labels out in a loss of your own, one loss per example, if they are to count"
                " nowhere."
            )


def _is_index(target: Tensor) -> bool:
    return not target.is_floating_point()


def _entry_by_entry(output: Tensor, target: Tensor) -> bool:
    """Whether each entry of the outputs has one of the targets: the shapes agree but for axes of length 1."""
    long = [[*t.shape[:1], *(n for n in t.shape[1:] if n > 1)] for t in (output, target)]
    return output.ndim > 0 and target.ndim > 0 and long[0] == long[1] and output.is_floating_point()


def _distributions(target: Tensor, axis: int) -> bool:
    """Whether targets along an axis are probabilities that sum to 1."""
    values = target.double()
    return bool((values >= 0).all()) and bool(((values.sum(axis) - 1).abs() <= TOLERANCE).all())

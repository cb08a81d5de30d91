"""Evaluation of a problem at the points of a line, plane or curve: many measures per forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.batchnorm_policy import BatchNormPolicy
from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch
from landscape.core.linalg.reductions import length
from landscape.core.problem.answers.own_metrics import OwnMetric, OwnMetrics
from landscape.core.problem.batchnorm import batch_statistics, recalibrated
from landscape.core.problem.problem import Measure, Problem
from landscape.core.problem.states import State, as_vector, rest_of_state
from landscape.core.stats.intervals import answer_error, standard_error
from landscape.errors import InputError

__all__ = ["Evaluator", "ParametrisedSet", "PointSet"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

U = TypeVar("U")
U_contra = TypeVar("U_contra", contravariant=True)

TEST = "test_"
"""Begins the names of measures on held-out data."""


class ParametrisedSet(Protocol[U_contra]):
    """Points of parameter space by a parameter u: the steps in a plane, the t of a curve."""

    @property
    def center(self) -> Any:
        """The u from which changes of the loss are measured; ``None`` if from nowhere."""

    def write(self, u: U_contra, out: Tensor, /) -> Tensor:
        """Write the point at ``u`` into ``out`` (P,) and return it."""


class PointSet:
    """Points given one by one, as rows (n, P); u is the number of the row."""

    center = None

    def __init__(self, points: Tensor) -> None:
        self._points = points

    def write(self, u: int, out: Tensor) -> Tensor:
        """Write the point of number ``u`` into ``out`` (P,)."""
        return out.copy_(self._points[u])


class Evaluator(Generic[U]):
    """Measures a problem at points of a parametrised set; the same examples at every point.

    Each point is written into one scratch vector, from its definition and not from the last point, and copied
    into the flat buffer that the private model's parameters view; nothing else is allocated per point.

    Args:
        problem: What is measured.
        subset: The points, such as a `Plane` or a `Curve`.
        statistics: Where BatchNorm statistics come from; ``interpolate`` and ``repair`` need ``rest``. They
            are always of the problem's data, never of the held-out data.
        test: Held-out batches, or none.
        rest: What of the model is not θ at a point: a context within which the model holds it. It is entered
            when the model holds the point. Default: the problem's own.
        per_class: Whether to measure the accuracy of each class.
        gradient_norm: Whether to measure ‖∇L‖, at about three times the cost.
        metrics: Metrics of the user's by name, of the problem's own data.
        per_example: Whether to return the losses and right answers of each example, as
            `Measure.spread_losses` are.

    Attributes:
        classes: The class labels (C,), if ``per_class``.
        center_metrics: ``metric_value`` and ``metric_se`` (metrics,) at the centre, if there are any.

    Raises:
        InputError: If accuracies per class are asked for and there is no class per example, or the
            statistics need two checkpoints.
    """

    @under_own_context
    def __init__(
        self,
        problem: Problem,
        subset: ParametrisedSet[U],
        *,
        statistics: BatchNormPolicy = "checkpoint",
        test: Sequence[Batch] | None = None,
        rest: Callable[[U], AbstractContextManager[None]] | None = None,
        per_class: bool = False,
        gradient_norm: bool = False,
        per_example: bool = False,
        metrics: Mapping[str, OwnMetric] | None = None,
    ) -> None:
        if rest is None and statistics in ("interpolate", "repair"):
            raise InputError(
                f"batchnorm='{statistics}' needs two checkpoints; take 'checkpoint', 'batch' or"
                " 'recalibrate'."
            )
        self.problem = problem
        self.subset = subset
        self.statistics = statistics
        self._test = test
        self._rest = rest
        self._per_example = per_example
        self._gradient_norm = gradient_norm
        self._metrics = metrics
        if metrics and problem.sharding.ranks > 1:
            raise InputError("metrics need all the data in one process; run without torchrun.")
        self._scratch = torch.empty_like(problem.theta)
        self._labels: Integers | None = None
        self.classes: Integers | None = None
        self._center: Measure | None = None
        self.center_metrics: dict[str, Array] = {}
        # Measured first, since the error of every later point is paired with it.
        if subset.center is not None:
            with self.at(subset.center):
                found = OwnMetrics(metrics) if metrics else None
                self._center = self._measures(found)[0]
                self.center_metrics = found.named() if found else {}
        if per_class:
            self.classes, self._labels = self._find_classes()

    @property
    def center(self) -> Measure:
        """The measure at the set's centre.

        ``center.loss`` equals ``problem.loss()`` bit for bit if the centre is the checkpoint and so are the
        statistics.

        Raises:
            InputError: If the set has no centre.
        """
        if self._center is None:
            raise InputError(f"a {type(self.subset).__name__} has no centre to measure changes from.")
        return self._center

    @under_own_context
    def measure(self, u: U) -> tuple[Measure, ...]:
        """The problem at ``u``: on its own data and, if there are any, on the held-out data."""
        with self.at(u):
            return self._measures(None)

    @under_own_context
    def values(self, u: U) -> dict[str, float | Array]:
        """Measures at one point by name.

        ``loss``, ``data_loss``, ``penalty``, ``accuracy``; standard errors over examples ``loss_se`` and
        ``accuracy_se``; if there is a centre ``loss_change_se``, that of the loss difference to it, paired by
        example; if asked for ``class_accuracy`` (C,), ``gradient_norm``, and ``losses`` and ``correct``
        (N,); of the metrics ``metric_value`` and ``metric_se`` (metrics,). On held-out data ``test_loss`` and
        the like. Values that are not finite stay so.
        """
        with self.at(u):
            return self._values()

    @under_own_context
    def values_of(self, state: State) -> dict[str, float | Array]:
        """Measures of a checkpoint itself, with what else its state_dict holds for the model."""
        self._scratch.copy_(as_vector(self.problem, state, "a checkpoint"))
        with rest_of_state(self.problem, state), self.problem.at(self._scratch), self._normalised():
            return self._values()

    @contextmanager
    def at(self, u: U) -> Iterator[None]:
        """Within it, the private model is that at ``u``, with the statistics asked for."""
        theta = self.subset.write(u, self._scratch)
        rest = nullcontext() if self._rest is None else self._rest(u)
        # In this order: statistics are those of the model at the point, the rest of its state included.
        with self.problem.at(theta), rest, self._normalised():
            yield

    def _normalised(self) -> AbstractContextManager[None]:
        if self.statistics == "batch":
            return batch_statistics(self.problem)
        return recalibrated(self.problem) if self.statistics == "recalibrate" else nullcontext()

    def _measures(self, metrics: OwnMetrics | None) -> tuple[Measure, ...]:
        with nullcontext() if metrics is None else metrics.watching(self.problem):
            own = self.problem.measure()
        return (own,) if self._test is None else (own, self.problem.measure(batches=self._test))

    def _values(self) -> dict[str, float | Array]:
        metrics = OwnMetrics(self._metrics) if self._metrics else None
        measures = self._measures(metrics)
        own, values = measures[0], self._named(measures[0])
        for held_out in measures[1:]:
            values |= {TEST + name: value for name, value in self._named(held_out).items()}
        if self._center is not None:
            before, now = self._center.spread_losses, own.spread_losses
            change = None if now is None or before is None else now - before
            values["loss_change_se"] = standard_error(change)
        if self.classes is not None and self._labels is not None and own.correct is not None:
            hits = np.bincount(self._labels, weights=own.correct.numpy(), minlength=len(self.classes))
            values["class_accuracy"] = hits / np.bincount(self._labels, minlength=len(self.classes))
        if metrics is not None:
            values |= metrics.named(per_example=self._per_example)
        if self._gradient_norm:
            values["gradient_norm"] = length(self.problem.gradient())
        return values

    def _named(self, measure: Measure) -> dict[str, float | Array]:
        values: dict[str, float | Array] = {
            "loss": measure.loss,
            "loss_se": standard_error(measure.spread_losses),
            "data_loss": measure.data_loss,
            "penalty": measure.penalty,
            "accuracy": measure.accuracy,
            "accuracy_se": answer_error(measure.spread_correct),
        }
        if self._per_example:
            correct = measure.spread_correct
            if correct is not None and measure.void is not None:
                correct = correct.new_full(measure.void.shape, torch.nan).masked_scatter(
                    ~measure.void, correct
                )
            examples = {"losses": measure.spread_losses, "correct": correct}
            values |= {name: each.numpy() for name, each in examples.items() if each is not None}
        return values

    def _find_classes(self) -> tuple[Integers, Integers]:
        targets = [batch.target for batch in self.problem.batches]
        correct = self.problem.measure(batches=[self.problem.first]).correct
        plain = correct is not None and self.problem.reading.axis is not None
        if not plain or not all(isinstance(t, Tensor) and t.ndim == 1 for t in targets):
            raise InputError("per_class needs one class label per example; this problem has none.")
        found = torch.cat(targets).cpu()
        output, _ = self.problem.output(self.problem.first)
        found = found[self.problem.reading.counts(found, output.shape[1])]
        classes, labels = np.unique(found.numpy(), return_inverse=True)
        return classes, labels

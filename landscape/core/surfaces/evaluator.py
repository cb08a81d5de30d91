"""Evaluation of a problem at the points of a plane or line: many measures per forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.problem.batchnorm import batch_statistics, recalibrated, running_layers
from landscape.core.problem.problem import Measure, Problem
from landscape.core.problem.states import as_vector, rest_of_state
from landscape.core.stats.hypothesis import standard_error
from landscape.core.surfaces.plane import Marker, Plane
from landscape.errors import InputError

__all__ = ["BatchNormMode", "Evaluator", "batchnorm_mode"]

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

BatchNormMode = Literal["frozen", "recalibrate", "batch"]


def batchnorm_mode(problem: Problem, asked: BatchNormMode | None, *, between_models: bool) -> BatchNormMode:
    """The mode in force: as asked, or the default for this problem.

    ``frozen`` uses the checkpoint's running statistics; ``recalibrate`` pools them anew over the data at
    each point; ``batch`` uses those of each batch. The default is ``batch`` for a problem with
    ``batchnorm="train"``, ``recalibrate`` between models, else ``frozen``; a model without running
    statistics is always ``frozen``.

    Raises:
        InputError: If running statistics are asked for and the problem does not use them.
    """
    if problem.batchnorm == "train":
        if asked in ("frozen", "recalibrate"):
            raise InputError(
                f"batchnorm='{asked}' contradicts the problem, which uses batch statistics; make the Problem"
                " with batchnorm='eval'."
            )
        return "batch"
    if not running_layers(problem.module):
        return "frozen"
    return asked or ("recalibrate" if between_models else "frozen")


class Evaluator:
    """Measures a problem at points of a plane; the same examples at every point.

    Each point is written into one scratch vector, from the plane's origin itself, and copied into the flat
    buffer that the private model's parameters view; nothing else is allocated per point.

    Args:
        problem: What is measured.
        plane: The points.
        batchnorm: See `batchnorm_mode`.
        per_class: Whether to measure the accuracy of each class.
        gradient_norm: Whether to measure ‖∇L‖, at about three times the cost.
        per_example: Whether to return the losses and right answers of each example.

    Attributes:
        center: The measure at the plane's origin; ``center.loss`` equals ``problem.loss()`` bit for bit if
            the origin is the checkpoint and BatchNorm is frozen.
        classes: The class labels (C,), if ``per_class``.

    Raises:
        InputError: If accuracies per class are asked for and there is no class per example.
    """

    def __init__(
        self,
        problem: Problem,
        plane: Plane,
        *,
        batchnorm: BatchNormMode = "frozen",
        per_class: bool = False,
        gradient_norm: bool = False,
        per_example: bool = False,
    ) -> None:
        self.problem = problem
        self.plane = plane
        self.batchnorm = batchnorm
        self._per_example = per_example
        self._gradient_norm = gradient_norm
        self._scratch = torch.empty_like(problem.theta)
        self._labels: Integers | None = None
        self.classes: Integers | None = None
        self.center = self.measure((0.0,) * len(plane.directions))
        if per_class:
            self.classes, self._labels = self._find_classes()

    def measure(self, steps: Sequence[float]) -> Measure:
        """The problem at the point of these steps (k,)."""
        with self._at(self.plane.write(steps, self._scratch)):
            return self.problem.measure()

    def values(self, steps: Sequence[float]) -> dict[str, float | Array]:
        """Measures at one point by name.

        ``loss``, ``data_loss``, ``penalty``, ``accuracy``; standard errors over examples ``loss_se`` and
        ``accuracy_se``; ``loss_change_se``, that of the loss difference to the centre, paired by example;
        ``class_accuracy`` (C,), ``gradient_norm``, and ``losses`` and ``correct`` (N,) if asked for. Values
        that are not finite stay so.
        """
        with self._at(self.plane.write(steps, self._scratch)):
            return self._values()

    def values_of(self, marker: Marker) -> dict[str, float | Array]:
        """Measures of a marked checkpoint itself, with what else its state_dict holds for the model."""
        self._scratch.copy_(as_vector(self.problem, marker.state, "a checkpoint"))
        with rest_of_state(self.problem, marker.state), self._at(self._scratch):
            return self._values()

    def _values(self) -> dict[str, float | Array]:
        measure = self.problem.measure()
        change = None
        if measure.losses is not None and self.center.losses is not None:
            change = measure.losses - self.center.losses
        values: dict[str, float | Array] = {
            "loss": measure.loss,
            "loss_se": standard_error(measure.losses),
            "loss_change_se": standard_error(change),
            "data_loss": measure.data_loss,
            "penalty": measure.penalty,
            "accuracy": measure.accuracy,
            "accuracy_se": standard_error(measure.correct),
        }
        if self.classes is not None and self._labels is not None and measure.correct is not None:
            hits = np.bincount(self._labels, weights=measure.correct.numpy(), minlength=len(self.classes))
            values["class_accuracy"] = hits / np.bincount(self._labels, minlength=len(self.classes))
        if self._gradient_norm:
            values["gradient_norm"] = float(self.problem.gradient().double().norm())
        if self._per_example:
            examples = {"losses": measure.losses, "correct": measure.correct}
            values |= {name: each.numpy() for name, each in examples.items() if each is not None}
        return values

    @contextmanager
    def _at(self, theta: Tensor) -> Iterator[None]:
        """Within it, the model holds ``theta`` and its BatchNorm layers are in the chosen mode."""
        modes = {"batch": batch_statistics, "recalibrate": recalibrated}
        with self.problem.at(theta):
            if self.batchnorm == "frozen":
                yield
                return
            with modes[self.batchnorm](self.problem):
                yield

    def _find_classes(self) -> tuple[Integers, Integers]:
        correct = self.center.correct
        targets = [batch.target for batch in self.problem.batches]
        if correct is None or not all(isinstance(t, Tensor) and t.ndim == 1 for t in targets):
            raise InputError("per_class needs one class label per example; this problem has none.")
        classes, labels = np.unique(torch.cat(targets).cpu().numpy(), return_inverse=True)
        return classes, labels

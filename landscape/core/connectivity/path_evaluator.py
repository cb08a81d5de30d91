"""Evaluation along a path between two models: training and held-out data, BatchNorm policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.connectivity.curve import Path
from landscape.core.connectivity.repair import Goals, goals_between, output_goals, repaired
from landscape.core.problem.batches import Batch
from landscape.core.problem.batchnorm import recalibrated, running_layers
from landscape.core.problem.problem import Measure, Problem
from landscape.core.problem.states import State, _rest, rest_of_state
from landscape.errors import InputError

__all__ = ["BatchNormPolicy", "PathEvaluator", "path_policy"]

Array = NDArray[np.float64]

BatchNormPolicy = Literal["keep", "interpolate", "recalibrate", "repair"]


def path_policy(problem: Problem, asked: BatchNormPolicy | None) -> BatchNormPolicy:
    """The policy in force: as asked; by default ``recalibrate`` where there are running statistics.

    Raises:
        InputError: If the problem uses batch statistics and another policy than ``keep`` is asked for.
    """
    if problem.batchnorm == "train":
        if asked not in (None, "keep"):
            raise InputError(
                f"batchnorm='{asked}' contradicts the problem, which uses batch statistics; make the Problem"
                " with batchnorm='eval'."
            )
        return "keep"
    if asked == "repair":
        return "repair"
    if not running_layers(problem.module):
        return "keep" if asked is None or asked == "recalibrate" else asked
    return asked or "recalibrate"


class PathEvaluator:
    """Measures a problem along a path, on the same examples at every point.

    What a state_dict holds besides θ (buffers, parameters not chosen) belongs to the ends; parameters are
    interpolated. Policies for BatchNorm statistics in between:

    - ``keep``: those of the nearer end, and all other buffers with them. The ends of the path are then the
      checkpoints, bit for bit.
    - ``interpolate``: (1 − t) of one end's and t of the other's.
    - ``recalibrate``: pooled anew over the problem's data at each point, as `recalibrated` does; all else is
      interpolated.
    - ``repair``: moreover each linear and convolution layer's outputs get the interpolated means and
      deviations of the ends' (Jordan et al. 2023); the ends stay as they are.

    Statistics are always of the problem's data, never of the held-out data.

    Args:
        problem: What is measured.
        path: Its ends are those of ``a`` and ``b``.
        a: The model at t = 0: a vector (P,), or a state_dict.
        b: The model at t = 1.
        policy: See above.
        test: Held-out batches, or none.
    """

    def __init__(
        self,
        problem: Problem,
        path: Path,
        a: State,
        b: State,
        *,
        policy: BatchNormPolicy = "keep",
        test: Sequence[Batch] | None = None,
    ) -> None:
        self.problem = problem
        self.path = path
        self.policy = policy
        self._test = test
        self._rests = _rest(problem, a), _rest(problem, b)
        self._kept = dict(problem.module.named_buffers()).keys() if policy == "keep" else set[str]()
        self._scratch = torch.empty_like(problem.theta)
        self._goals: tuple[Goals, Goals] | None = None
        if policy == "repair":
            self._goals = self._end_goals(0.0), self._end_goals(1.0)

    def measure(self, t: float) -> tuple[Measure, ...]:
        """The problem at θ(t): on its own data and, if there are any, on the held-out data."""
        with self.at(t):
            found = self.problem.measure()
            return (found,) if self._test is None else (found, self.problem.measure(batches=self._test))

    def values(self, t: float) -> dict[str, Array]:
        """Measures at θ(t) as arrays by name, each with a leading axis of splits (1 or 2).

        ``data_loss``, ``penalty``, ``accuracy`` (splits,); and per split s where each example has its own,
        ``losses_s`` and ``correct_s`` (N,).
        """
        found = self.measure(t)
        values = {
            name: np.array([getattr(m, name) for m in found]) for name in ("data_loss", "penalty", "accuracy")
        }
        for split, measure in enumerate(found):
            for name in ("losses", "correct"):
                each = getattr(measure, name)
                if each is not None:
                    values[f"{name}_{split}"] = each.numpy()
        return values

    @contextmanager
    def at(self, t: float) -> Iterator[None]:
        """Within it, the private model is that at θ(t), with the statistics of the policy."""
        rest = _rest_between(*self._rests, t, self._kept)
        theta = self.path.write(t, self._scratch)
        with rest_of_state(self.problem, rest), self.problem.at(theta), self._statistics(t):
            yield

    @contextmanager
    def _statistics(self, t: float) -> Iterator[None]:
        if self.policy == "recalibrate":
            with recalibrated(self.problem):
                yield
        elif self._goals is not None and 0.0 < t < 1.0:
            with repaired(self.problem, goals_between(*self._goals, t)):
                yield
        else:
            yield

    def _end_goals(self, t: float) -> Goals:
        with self.at(t):
            return output_goals(self.problem)


def _rest_between(
    a: Mapping[str, Tensor], b: Mapping[str, Tensor], t: float, kept: Set[str]
) -> Mapping[str, Tensor]:
    """The rest at t, interpolated; of the nearer end what is ``kept``, and whole numbers always."""
    near = a if t < 0.5 else b
    if t in (0.0, 1.0):
        return near
    return {
        name: torch.where(a[name] == b[name], a[name], torch.lerp(a[name], b[name], t))
        if a[name].is_floating_point() and name not in kept
        else near[name]
        for name in a
    }

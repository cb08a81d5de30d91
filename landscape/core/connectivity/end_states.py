"""What of a model is not on the curve: buffers, BatchNorm statistics and fixed parameters of its two ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager

import torch
from torch import Tensor

from landscape.batchnorm_policy import BatchNormPolicy
from landscape.core.connectivity.curve import Curve
from landscape.core.connectivity.repair import Goals, goals_between, output_goals, repaired
from landscape.core.data.batches import Batch
from landscape.core.problem.evaluator import Evaluator
from landscape.core.problem.problem import Problem
from landscape.core.problem.states import State, _rest, rest_of_state

__all__ = ["EndStates", "curve_evaluator"]


def curve_evaluator(
    problem: Problem,
    curve: Curve,
    a: State,
    b: State,
    *,
    policy: BatchNormPolicy = "checkpoint",
    test: Sequence[Batch] | None = None,
) -> Evaluator[float]:
    """Measures a problem along a curve, example by example, on training and held-out data.

    Args:
        problem: What is measured.
        curve: Its ends are the parameters of ``a`` and ``b``.
        a: The model at t = 0: a vector (P,), or a state_dict.
        b: The model at t = 1.
        policy: Where BatchNorm statistics in between come from; see `EndStates`.
        test: Held-out batches, or none.
    """
    rest = EndStates(problem, curve, a, b, policy)
    return Evaluator(problem, curve, statistics=policy, test=test, rest=rest.at, per_example=True)


class EndStates:
    """The part of two models' states that is not θ, at any t between them.

    Parameters that are not chosen are interpolated. What becomes of the buffers is a matter of the policy:

    - ``checkpoint``, ``batch``: all are those of the nearer end. Under ``checkpoint`` the ends of the curve
      are then the checkpoints, bit for bit.
    - ``interpolate``, ``recalibrate``: (1 − t) of one end's and t of the other's; `Evaluator` then puts
      recalibrated statistics in their place.
    - ``repair``: interpolated, and strictly between the ends BatchNorm is recalibrated and each linear and
      convolution layer's outputs get the interpolated means and deviations of the ends' (Jordan et al.
      2023); the ends stay as they are.

    Args:
        problem: Whose model, and whose data statistics are of.
        curve: From a to b.
        a: The model at t = 0: a vector (P,), whose rest is the problem's own, or a state_dict.
        b: The model at t = 1.
        policy: See above.

    Raises:
        InputError: If a state does not fit the model.
    """

    def __init__(
        self, problem: Problem, curve: Curve, a: State, b: State, policy: BatchNormPolicy = "checkpoint"
    ) -> None:
        self._problem = problem
        self._ends = _rest(problem, a), _rest(problem, b)
        buffers = dict(problem.module.named_buffers()).keys()
        self._whole = buffers if policy in ("checkpoint", "batch") else set[str]()
        self._goals: tuple[Goals, Goals] | None = None
        if policy == "repair":
            self._goals = self._end_goals(curve, 0.0), self._end_goals(curve, 1.0)

    @contextmanager
    def at(self, t: float) -> Iterator[None]:
        """Within it, the model, which is at θ(t), holds the rest of the state at t."""
        with rest_of_state(self._problem, _rest_between(*self._ends, t, self._whole)):
            if self._goals is not None and 0.0 < t < 1.0:
                with repaired(self._problem, goals_between(*self._goals, t)):
                    yield
            else:
                yield

    def _end_goals(self, curve: Curve, t: float) -> Goals:
        theta = curve.write(t, torch.empty_like(self._problem.theta))
        with self._problem.at(theta), self.at(t):
            return output_goals(self._problem)


def _rest_between(
    a: Mapping[str, Tensor], b: Mapping[str, Tensor], t: float, whole: Set[str]
) -> Mapping[str, Tensor]:
    """The rest at t, interpolated; of the nearer end what is in ``whole``, and whole numbers always."""
    near = a if t < 0.5 else b
    if t in (0.0, 1.0):
        return near
    return {
        # where both agree the value stays as it is: lerp of an infinity, as masks hold, would be NaN
        name: torch.where(a[name] == b[name], a[name], torch.lerp(a[name], b[name], t))
        if a[name].is_floating_point() and name not in whole
        else near[name]
        for name in a
    }

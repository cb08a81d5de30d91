"""A problem in float64 on a few examples, where differences can tell right derivatives from wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from landscape.core.linalg.reductions import length
from landscape.core.problem.derivatives.differences import COARSE, FINE, FINE_SECOND, Ruler, Verdict, judge

if TYPE_CHECKING:
    from landscape.core.data.batches import Batch
    from landscape.core.problem.problem import Problem

__all__ = ["EXAMPLES", "Twin", "make_twin"]

EXAMPLES = 8
LARGEST = 100_000_000
"""Parameters of a problem above which no copy in float64 is made."""


@dataclass(frozen=True)
class Twin:
    """A problem of its own, at the place where another stands.

    Attributes:
        problem: The copy, on the first few examples.
        rounds: Whether something of it is rounded to float32.
    """

    problem: Problem
    rounds: bool

    @property
    def batch(self) -> Batch:
        """The examples."""
        return self.problem.first

    @property
    def length(self) -> float:
        """What steps are parts of."""
        return length(self.problem.theta) or 1.0

    def draw(self, seed: int) -> Tensor:
        """A random direction (P,) of length 1."""
        generator = torch.Generator().manual_seed(seed)
        v = torch.randn(self.problem.size, generator=generator, dtype=torch.float64)
        v /= length(v)
        return v.to(self.problem.device, self.problem.dtype)

    def judge(
        self, said: Tensor, direction: Tensor, value: Callable[[], Tensor], *, second: bool = False
    ) -> Verdict:
        """Hold the derivative of a value along a direction (P,) against differences.

        Args:
            said: The derivative.
            direction: Of length 1.
            value: The value where the problem stands.
            second: Whether the value is a gradient.
        """
        return judge(said, _along(self.problem, direction, value), self.length, self.ruler(second))

    def ruler(self, second: bool) -> Ruler:
        """How differences are to be taken."""
        if self.rounds:
            return COARSE
        return FINE_SECOND if second else FINE


def _along(problem: Problem, direction: Tensor, value: Callable[[], Tensor]) -> Callable[[float], Tensor]:
    """A value on the line through θ, as a function of the place on it."""

    def at(t: float) -> Tensor:
        with problem.at(problem.theta + t * direction):
            return value().detach()  # differences are taken in float64, piece by piece

    return at


def make_twin(problem: Problem) -> Twin | None:
    """The problem on its first few examples, in float64 if it can be so, else as it is.

    ``None`` if it runs on neither, or is in half precision, which no difference can judge.
    """
    dtypes = [torch.float64] if problem.size <= LARGEST and problem.device.type != "mps" else []
    if problem.dtype in (torch.float32, torch.float64):
        dtypes.append(problem.dtype)
    for dtype in dict.fromkeys(dtypes):
        for batch in _cuts(problem):
            try:
                twin = problem.rebuilt(dtype, batch)
                with torch.no_grad():
                    twin.batch_loss(twin.first)
                rounds = dtype != torch.float64 or _rounds(twin)
            except torch.OutOfMemoryError:
                return None
            except Exception:  # such as a cast to float32 inside that meets float64: it may fail in any way
                continue
            return Twin(twin, rounds)
    return None


def _cuts(problem: Problem) -> list[Batch]:
    """A few examples; and the first batch, for models and losses that need all of it."""
    few = problem.first.split(EXAMPLES)[0]
    return [few] if few is problem.first else [few, problem.first]


def _rounds(problem: Problem) -> bool:
    """Whether anything that depends on the parameters is computed in less than float64."""
    with torch.enable_grad(), _LowPrecision() as seen:
        problem.batch_loss(problem.first)
    found: bool = seen.found
    return found


class _LowPrecision(TorchFunctionMode):
    """Looks for results in low precision that carry a graph."""

    found: bool = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and tensor.requires_grad and tensor.dtype != torch.float64:
                self.found = self.found or tensor.is_floating_point()
        return result

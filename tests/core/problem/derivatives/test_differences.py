"""Verdicts of differences, on functions whose derivatives are known by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from landscape.core.problem.derivatives.differences import COARSE, FINE, FINE_SECOND, Ruler, judge

RULERS = {"fine": FINE, "fine, second": FINE_SECOND, "coarse": COARSE}


def line(function: Callable[[Tensor], Tensor]) -> Callable[[float], Tensor]:
    return lambda t: function(torch.tensor([t], dtype=torch.float64))


def verdict(said: float, function: Callable[[Tensor], Tensor], ruler: Ruler) -> str:
    return judge(torch.tensor([said], dtype=torch.float64), line(function), 1.0, ruler)


@pytest.mark.parametrize("ruler", RULERS)
def test_smooth_functions(ruler: str) -> None:
    """exp(3t) has the derivative 3 at 0, and not one that is off by a tenth."""
    assert verdict(3.0, lambda t: (3 * t).exp(), RULERS[ruler]) == "right"
    assert verdict(3.3, lambda t: (3 * t).exp(), RULERS[ruler]) == "wrong"
    assert verdict(0.0, lambda t: (3 * t).exp(), RULERS[ruler]) == "wrong"


@pytest.mark.parametrize("ruler", RULERS)
def test_a_function_that_is_flat(ruler: str) -> None:
    """A constant, a minimum and the flat side of a hinge have derivative 0; one that rounds has no other."""
    for flat in (lambda t: t * 0 + 5, lambda t: t.square(), lambda t: (t - 1).clamp(min=0)):
        assert verdict(0.0, flat, RULERS[ruler]) == "right"
    assert verdict(1.0, lambda t: torch.round(t), RULERS[ruler]) == "wrong"


@pytest.mark.parametrize("ruler", RULERS)
def test_at_a_kink_neither_side_nor_none_is_wrong(ruler: str) -> None:
    """|t| has no derivative at 0: autograd may say that of a side, or 0, and what else is not known."""
    for said in (0.0, 1.0, -1.0, 0.5):
        assert verdict(said, lambda t: t.abs(), RULERS[ruler]) in ("right", "unknown")


def test_a_kink_that_steps_cross() -> None:
    """One at 3e-7 is crossed by the longest step alone; a jump there, as gradients have, decides nothing."""
    assert verdict(1.0, lambda t: t + (t - 3e-7).clamp(min=0), FINE) == "right"
    assert verdict(1.0, lambda t: t + (t > 3e-8), FINE_SECOND) == "right"
    assert verdict(2.0, lambda t: t + (t > 3e-10), FINE_SECOND) == "unknown"


def test_values_rounded_to_float32() -> None:
    """Short steps see the rounding alone, long ones the slope."""

    def rounded(t: Tensor) -> Tensor:
        return (2 + t).sin().float().double()

    slope = float(torch.tensor(2.0).cos())
    assert verdict(slope, rounded, COARSE) == "right"
    assert verdict(1.2 * slope, rounded, COARSE) == "wrong"


def test_what_is_not_finite_says_nothing() -> None:
    assert verdict(1.0, lambda t: t.log(), FINE) == "unknown"
    assert verdict(float("nan"), lambda t: t, FINE) == "unknown"


def test_rounding_hides_no_mistake() -> None:
    """Where short steps drown in rounding, the longer ones have told."""
    assert verdict(1.2, lambda t: 1e5 + t, FINE_SECOND) == "wrong"


def test_kinks_that_cancel_between_the_sides() -> None:
    """Two kinks, where autograd gives 0, move both sides by nearly the same: that tells nothing."""

    def function(t: Tensor) -> Tensor:
        return 50 * t + t.clamp(min=0) + 1.04 * t.clamp(max=0)

    assert verdict(50.0, function, FINE) == "unknown"


class Largest(TorchDispatchMode):
    """The most entries of a result in float64."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype == torch.float64:
            self.entries = max(self.entries, result.numel())
        return result


@pytest.mark.parametrize(("said", "expected"), [(1.0, "right"), (1.2, "wrong")])
def test_long_values_are_never_copied_in_float64(said: float, expected: str) -> None:
    """Oracle: the size of every result; the verdict is that of the slope, which is known by hand."""
    start = torch.randn(3 << 20, generator=torch.Generator().manual_seed(0))
    with Largest() as largest:
        found = judge(torch.full_like(start, said), lambda t: start + t, 1.0, COARSE)
    assert found == expected and 0 < largest.entries <= 1 << 20

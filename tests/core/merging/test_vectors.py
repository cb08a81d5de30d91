"""Task vectors, elected signs and great circles against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from landscape.core.merging.vectors import slerp, task_arithmetic, ties
from landscape.errors import InputError


def state(*values):
    return {"w": torch.tensor(values, dtype=torch.float64)}


def test_ties_by_hand():
    """Oracle: by hand. Task vectors (4, −1, 2, .1), (2, 3, −5, .2), (−1, −4, −4, .3), half of each kept.

    Trimmed: (4, 0, 2, 0), (0, 3, −5, 0), (0, −4, −4, 0). Sums 4, −1, −7, 0 elect +, −, −, none; the means
    over those who agree are 4, −4, −4.5, and nothing moves the last.
    """
    base = state(1.0, 1.0, 1.0, 1.0)
    steps = ((4.0, -1.0, 2.0, 0.1), (2.0, 3.0, -5.0, 0.2), (-1.0, -4.0, -4.0, 0.3))
    states = [state(*(1.0 + v for v in step)) for step in steps]
    merged = ties(base, states, keep=0.5)["w"]
    torch.testing.assert_close(merged, torch.tensor([5.0, -3.0, -3.5, 1.0], dtype=torch.float64))
    half = ties(base, states, keep=0.5, scale=0.5)["w"]
    torch.testing.assert_close(half, torch.tensor([3.0, -1.0, -1.25, 1.0], dtype=torch.float64))
    # the share is of all tensors together: the second tensor's small entries are trimmed away
    two = {"w": base["w"][:2], "v": base["w"][2:]}
    parts = [{"w": s["w"][:2], "v": s["w"][2:]} for s in states]
    joined = ties(two, parts, keep=0.5)
    torch.testing.assert_close(torch.cat([joined["w"], joined["v"]]), merged)
    with pytest.raises(InputError, match="share in"):
        ties(base, states, keep=0.0)


def test_signs_that_cancel_leave_the_base():
    """Oracle: by hand: of 2 and −2 no sign is elected; kept entirely, 2 and 4 have the mean 3."""
    assert ties(state(0.5), [state(2.5), state(-1.5)], keep=1.0)["w"].tolist() == [0.5]
    assert ties(state(0.0), [state(2.0), state(4.0)], keep=1.0)["w"].tolist() == [3.0]


def test_task_arithmetic_is_a_sum():
    """Oracle: by hand: 1 + ½(1 + 3) = 3; with λ = 1/n it is the mean, and a forgotten task is subtracted."""
    assert task_arithmetic(state(1.0), [state(2.0), state(4.0)], scale=0.5)["w"].tolist() == [3.0]
    assert task_arithmetic(state(1.0), [state(3.0)], scale=-1.0)["w"].tolist() == [-1.0]


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 1.0])
def test_slerp_of_unit_vectors_stays_on_the_sphere(t):
    """Oracle: trigonometry. From (1, 0) to (cos ω, sin ω) the point at t is (cos tω, sin tω)."""
    omega = 2.1
    a, b = {"x": torch.tensor([1.0]), "y": torch.tensor([0.0])}, None
    b = {"x": torch.tensor([math.cos(omega)]), "y": torch.tensor([math.sin(omega)])}
    found = slerp(a, b, t=t)
    point = torch.cat([found["x"], found["y"]])
    expected = torch.tensor([math.cos(t * omega), math.sin(t * omega)])
    torch.testing.assert_close(point, expected)
    g = torch.Generator().manual_seed(0)
    one, two = (torch.randn(40, generator=g, dtype=torch.float64) for _ in range(2))
    made = slerp({"w": one / one.norm()}, {"w": two / two.norm()}, t=t)["w"]
    assert float(made.norm()) == pytest.approx(1.0, abs=1e-14)


def test_slerp_by_tensor_keeps_the_norm_of_each():
    """Oracle: norms. Tensors of one length in both models keep it each; the whole vector only in all."""
    g = torch.Generator().manual_seed(1)
    a, b = ({n: torch.randn(5, generator=g) for n in "uv"} for _ in range(2))
    a, b = ({n: k * t / t.norm() for k, (n, t) in enumerate(s.items(), 1)} for s in (a, b))
    each = slerp(a, b, t=0.3, part="tensor")
    assert [round(float(each[n].norm()), 5) for n in "uv"] == [1.0, 2.0]
    whole = torch.cat(list(slerp(a, b, t=0.3).values()))
    assert float(whole.norm()) == pytest.approx(5**0.5, abs=1e-5)


def test_slerp_without_an_angle_is_a_straight_line():
    """Oracle: the line itself; between opposite vectors there are many shortest ways, so none is taken."""
    a = state(1.0, 2.0)
    assert slerp(a, state(3.0, 6.0), t=0.5)["w"].tolist() == [2.0, 4.0]
    assert slerp(a, state(0.0, 0.0), t=0.25)["w"].tolist() == [0.75, 1.5]
    with pytest.raises(InputError, match="opposite"):
        slerp(a, state(-1.0, -2.0))

"""Which checks were made."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.core.problem.derivatives.record import DerivativeRecord
from landscape.core.problem.derivatives.twin import Twin
from landscape.errors import InputError
from tests.wrong_models import data


def test_a_check_is_made_once_for_all_that_share_a_model() -> None:
    calls = []

    def check(problem: Problem, twin: Twin | None) -> None:
        calls.append(problem)

    problem = Problem(nn.Linear(6, 3), "cross_entropy", data())
    problem.vouch(check)
    problem.on_sample(5).vouch(check)
    problem.vouch(check)
    assert calls == [problem]


def test_refusals_are_repeated_and_failures_are_not() -> None:
    """What broke a check for another reason, such as an interruption, is no verdict."""
    errors: list[BaseException] = [KeyboardInterrupt(), InputError("wrong."), RuntimeError()]

    def check(problem: Problem, twin: Twin | None) -> None:
        raise errors.pop(0)

    problem = Problem(nn.Linear(6, 3), "cross_entropy", data())
    with pytest.raises(KeyboardInterrupt):
        problem.vouch(check)
    for _ in range(2):
        with pytest.raises(InputError, match="wrong"):
            problem.vouch(check)
    assert len(errors) == 1


def test_what_a_result_remembers() -> None:
    """Nothing where all was found right, and nothing of a switch that made no difference."""
    assert DerivativeRecord().facts() == DerivativeRecord(wanted=False).facts() == {}
    unchecked = DerivativeRecord(wanted=False)
    assert not unchecked.needs((rough,))
    assert "not checked" in unchecked.facts()["derivatives_notice"]
    problem = Problem(nn.Linear(6, 3), "cross_entropy", data())
    problem.vouch(rough)
    assert problem.derivatives.facts() == {
        "derivatives_notice": "derivatives could not be checked: too rough",
        "without_gradient": "w, v",
    }


def rough(problem: Problem, twin: Twin | None) -> None:
    """A check that cannot tell, twice for one reason."""
    problem.derivatives.unknown |= {"a": "too rough", "b": "too rough"}
    problem.derivatives.without_gradient = ("w", "v")


def test_a_result_remembers_what_it_asked_for_alone() -> None:
    """Not what a result before it did, whether the checks are made anew or were made for that one."""

    def right(problem: Problem, twin: Twin | None) -> None:
        pass

    problem = Problem(nn.Linear(6, 3), "cross_entropy", data())
    problem.vouch(rough)
    record = problem.derivatives
    noted = record.facts()
    record.begin()
    problem.vouch(right)
    assert noted and record.facts() == {}
    record.begin()
    problem.vouch(right, rough)
    assert record.facts() == noted
    record.begin()
    assert record.facts() == {}


class Rough(nn.Module):
    """A mean of outputs so rough that no difference tells its slope."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.linear(x)
        return h + 1e-3 * torch.sin(1e9 * h)


def test_an_analysis_without_derivatives_has_no_notice_of_them() -> None:
    """A line takes losses alone, also where a spectrum was taken of the same problem before."""
    problem = Problem(Rough(), "cross_entropy", data())
    notices = []
    for run in (landscape.line, landscape.spectrum, landscape.line):
        options = {"k": 1} if run is landscape.spectrum else {"steps": 3}
        notices.append("derivatives_notice" in run(problem, **options).attrs)
    assert notices == [False, True, False]

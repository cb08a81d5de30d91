"""Which checks were made."""

from __future__ import annotations

import pytest
from torch import nn

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
    assert not unchecked.needs(())
    assert "not checked" in unchecked.facts()["derivatives_notice"]
    record = DerivativeRecord(unknown={"a": "too rough", "b": "too rough"}, without_gradient=("w", "v"))
    assert record.facts() == {
        "derivatives_notice": "derivatives could not be checked: too rough",
        "without_gradient": "w, v",
    }

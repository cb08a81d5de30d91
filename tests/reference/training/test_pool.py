import os
import signal

import pytest
import torch

from landscape.errors import InputError, LandscapeError
from landscape.reference.training.pool import run_all


def square(number, report):
    report("squaring", number)
    return number**2


def refuse(number, report):
    raise InputError(f"no {number}.")


def die(number, report):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_and_reports_arrive(jobs):
    """Oracle: the squares."""
    reports = []
    calls = [(3,), (1,), (2,)]
    assert run_all(square, calls, jobs=jobs, on_report=lambda *r: reports.append(r)) == [9, 1, 4]
    assert sorted(reports) == [("squaring", n) for n in (1, 2, 3)]


def tensor_of(number, report):
    return torch.full((3,), float(number))


def test_tensors_outlive_their_process():
    """Oracle: the values. A tensor in shared memory would be gone with the process that made it."""
    found = run_all(tensor_of, [(1,), (2,)], jobs=2)
    assert [t.tolist() for t in found] == [[1.0] * 3, [2.0] * 3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_is_raised_here(jobs):
    """Oracle: the error's own text."""
    with pytest.raises(InputError, match=r"no \d\."):
        run_all(refuse, [(1,), (2,)], jobs=jobs)


def test_a_killed_process_is_told():
    """Oracle: the exit status of a process that SIGKILL ended, -9."""
    with pytest.raises(LandscapeError, match="status -9"):
        run_all(die, [(1,), (2,)], jobs=2)

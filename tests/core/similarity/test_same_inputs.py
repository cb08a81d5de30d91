"""The same examples for several models: taken once where they are the same, and only there."""

from __future__ import annotations

import torch
from cases import CASES, uneven, vectors

from landscape import Problem
from landscape.core.similarity.same_inputs import GroupExamples, check_same_inputs


def problem_of(data, **options):
    return Problem(CASES["mlp"].model(), "cross_entropy", data, **options)


def test_examples_are_taken_once_for_all_that_hold_them():
    """Oracle: identity, and the rows picked by hand."""
    x, y = vectors(20)
    one, two = (problem_of((x, y), batch_size=6) for _ in range(2))
    batch_for = GroupExamples([one, two]).on(torch.tensor([7, 0, 19]))
    assert batch_for(one) is batch_for(two)
    assert torch.equal(batch_for(one).inputs, x[[7, 0, 19]])
    assert torch.equal(batch_for(two).target, y[[7, 0, 19]])


def test_other_data_or_another_cut_is_taken_by_itself():
    """Oracle: the rows picked by hand from each problem's own data."""
    x, y = vectors(20)
    problems = [
        problem_of((x, y), batch_size=6),
        problem_of((x, y), batch_size=20),
        problem_of((2.0 * x, y), batch_size=6),
    ]
    index = torch.tensor([3, 12, 5])
    batch_for = GroupExamples(problems).on(index)
    for problem, data in zip(problems, (x, x, 2.0 * x), strict=True):
        assert torch.equal(batch_for(problem).inputs, data[index])


def test_the_same_inputs_pass_however_they_are_cut():
    """Oracle: none is needed, nothing is raised; what is refused is tested with the pass over a zoo."""
    x, y = vectors(20)
    cut = problem_of(list(uneven((x, y), [3, 9, 8])))
    check_same_inputs({"a": problem_of((x, y)), "b": problem_of((x, y)), "c": cut})
    check_same_inputs({"a": problem_of((x, y)), "b": problem_of((-x, y))}, "order")

"""The problem in float64 on a few examples."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from landscape import Problem
from landscape.core.problem.derivatives.twin import EXAMPLES, make_twin
from tests.cases import CASES, snapshot
from tests.wrong_models import SOUND, data


@pytest.mark.parametrize("name", CASES)
def test_a_twin_has_the_loss_of_its_examples(name: str) -> None:
    """Oracle: the losses per example of the float64 problem; the problem itself is left as it is."""
    case = CASES[name]
    exact = case.problem()
    narrow = case.problem(dtype=torch.float32)
    before = snapshot(narrow.module)
    twin = make_twin(narrow)
    assert twin is not None
    assert not twin.rounds
    assert twin.problem.dtype == torch.float64
    assert twin.batch.size == EXAMPLES
    with torch.no_grad():
        found = float(twin.problem.batch_loss(twin.batch))
        expected = float(exact.batch_loss(exact.first.split(EXAMPLES)[0]))
    assert found == pytest.approx(expected, rel=1e-5)
    assert snapshot(narrow.module) == before


def test_class_weights_go_along() -> None:
    """Torch refuses float32 weights beside float64 outputs."""
    model = nn.Linear(6, 3)
    for loss in (nn.CrossEntropyLoss(torch.ones(3)), nn.MultiMarginLoss(weight=torch.ones(3))):
        twin = make_twin(Problem(model, loss, data()))
        assert twin is not None
        assert twin.problem.dtype == torch.float64


@pytest.mark.parametrize(
    ("kind", "dtype", "rounds"),
    [
        ("deep", torch.float64, False),
        ("float32 inside", torch.float64, True),
        ("float32 alone", torch.float32, True),
    ],
)
def test_where_something_is_float32(kind: str, dtype: torch.dtype, rounds: bool) -> None:
    twin = make_twin(Problem(SOUND[kind](), "cross_entropy", data()))
    assert twin is not None
    assert twin.problem.dtype == dtype
    assert twin.rounds == rounds


def test_a_model_for_one_size_of_batch_keeps_it() -> None:
    class Fixed(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.reshape(40, 6))

    twin = make_twin(Problem(Fixed(6, 3), "cross_entropy", data()))
    assert twin is not None
    assert twin.batch.size == 40


def test_no_twin_of_what_runs_in_half_precision_alone() -> None:
    class Half(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x.bfloat16(), self.weight, self.bias)

    x, y = data()
    model = Half(6, 3).to(torch.bfloat16)
    problem = Problem(model, "cross_entropy", (x.bfloat16(), y))
    assert make_twin(problem) is None
    problem.gradient()
    assert "neither in float64" in problem.provenance()["derivatives_notice"]  # type: ignore[operator]


def test_an_evaluation_at_another_point_is_undone() -> None:
    """Checks made while the problem stands elsewhere leave it there."""
    problem = Problem(SOUND["deep"](), "cross_entropy", data())
    elsewhere = problem.theta + 0.01
    expected = problem.measure(elsewhere).loss
    with problem.at(elsewhere):
        problem.gradient()
        assert problem.loss() == expected

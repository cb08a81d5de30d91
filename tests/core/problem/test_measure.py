"""Losses and answers of examples, in one process and put together from several."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from landscape.core.problem import measure as room
from landscape.core.problem.answers.outputs import Reading
from landscape.core.problem.criterion import Criterion
from landscape.core.problem.measure import ExampleTable, Measure


def measure(outcomes, loss):
    return room.measure(outcomes, Criterion(loss, torch.device("cpu"), torch.float32), Reading())


def batches(sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (n, torch.randn(n, 3, generator=generator), torch.randint(3, (n,), generator=generator))
        for n in sizes
    ]


def test_losses_and_answers_are_those_of_all_outputs():
    """Oracle: torch's own cross-entropy and argmax on the joined outputs."""
    given = batches([4, 1, 5])
    found = measure(given, "cross_entropy")
    logits, labels = (torch.cat([b[i] for b in given]) for i in (1, 2))
    assert found.examples == 10
    torch.testing.assert_close(found.losses, F.cross_entropy(logits, labels, reduction="none").double())
    assert found.correct.tolist() == (logits.argmax(1) == labels).double().tolist()


def test_batch_means_are_weighted_by_size():
    """Oracle: the mean over all examples, by hand; no loss per example is made up."""
    given = batches([4, 1, 5])
    found = measure(given, lambda output, target: F.cross_entropy(output, target))
    whole = F.cross_entropy(torch.cat([b[1] for b in given]), torch.cat([b[2] for b in given]))
    assert found.losses is None
    torch.testing.assert_close(torch.tensor(found.total / 10), whole.double().to(torch.float32))


def test_a_regression_has_no_accuracy():
    """Oracle: targets that are no classes; NaN, not zero."""
    found = measure([(2, torch.zeros(2, 1), torch.ones(2, 1))], "mse")
    assert found.correct is None and found.losses.tolist() == [1.0, 1.0]
    result = Measure(1.0, 0.5, found.losses, None)
    assert result.loss == 1.5 and result.accuracy != result.accuracy


def test_tables_of_several_processes_add_up_to_one():
    """Oracle: the measure of all batches in one process."""
    given = batches([4, 1, 5])
    whole = measure(given, "cross_entropy")
    tables = [ExampleTable(10) for _ in range(3)]
    for table, batch, start in zip(tables, given, (0, 4, 5), strict=True):
        table.enter(measure([batch], "cross_entropy"), start)
    tables[0].values += tables[1].values + tables[2].values
    total = tables[0].read()
    assert torch.equal(total.losses, whole.losses) and torch.equal(total.correct, whole.correct)
    one_without = ExampleTable(10)
    one_without.enter(measure(given, lambda o, t: F.cross_entropy(o, t)), 0)
    assert one_without.read().losses is None


def test_examples_without_a_label_that_counts_have_no_answer():
    """Oracle: two right, one wrong and one void label, written out; the share is 2/3, not 2/4."""
    z = torch.eye(3)[[0, 1, 2, 0]]
    found = measure([(4, z, torch.tensor([0, 1, 0, 255]))], lambda o, t: o.sum(1))
    answers, void = found.answers
    assert found.correct.tolist() == [1.0, 1.0, 0.0, -1.0]
    assert answers.tolist() == [1.0, 1.0, 0.0] and void.tolist() == [False, False, False, True]

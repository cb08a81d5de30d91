"""Loader: data built once, problems of checkpoints, the last one kept."""

from __future__ import annotations

import os
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from landscape.errors import CheckpointError, InputError
from landscape.store import Store
from landscape.zoo import Zoo
from landscape.zoo.loader import Loader, seeded


def planned(path):
    """Plan and loader of a manifest."""
    zoo = Zoo.from_manifest(path)
    plan, loader = zoo._plan(None, Store(zoo.store), False)
    return [t.members[0] for t in plan.tasks], Loader(plan.setup), loader


def test_the_last_problem_is_kept_and_no_other(folder):
    """Oracle: the same object while one asks for one model; the weights are those of each file."""
    folder.add("m0")
    folder.add("m1", seed=1)
    (first, second), loader, _ = planned(folder.write())
    problem = loader.problem(first)
    assert loader.problem(first) is problem
    weights = torch.cat([v.reshape(-1) for v in torch.load(second.path).values()])
    assert torch.equal(loader.problem(second).theta, weights)
    again = loader.problem(first)
    assert again is not problem
    loader.forget()
    assert loader.problem(first) is not again
    assert loader.passing_problem(first) is not loader.problem(first)


def test_options_reach_the_problem(folder):
    """Oracle: the values in the manifest."""
    folder.add("m0")
    options = (
        'weight_decay = 0.5\nparameters = "0.*"\nbatch_size = 5\nbatchnorm = "train"\nloss = "toy_losses:nan"'
    )
    (model,), loader, _ = planned(folder.write(problem=options))
    problem = loader.problem(model)
    assert (problem.weight_decay, problem.batchnorm, problem.size) == (0.5, "batch", 9)
    assert loader.sizes() == [5, 5, 2]
    assert np.isnan(problem.loss())


@pytest.mark.parametrize(
    "loss", ["torch.nn:CrossEntropyLoss", "torch.nn.functional:cross_entropy", "toy_losses:made"]
)
def test_torchs_losses_may_be_named(folder, loss):
    """Oracle: the cross-entropy by name, which is the same function; losses per example are there."""
    folder.add("m0")
    (model,), loader, _ = planned(folder.write(problem=f'loss = "{loss}"'))
    found = loader.problem(model).measure()
    (model,), loader, _ = planned(folder.write())
    own = loader.problem(model).measure()
    assert found.loss == pytest.approx(own.loss, rel=1e-6) and torch.allclose(found.losses, own.losses)


def test_the_function_that_counts_examples_is_asked(folder):
    """Oracle: a function that returns no number is found out, so it was asked."""
    folder.add("m0")
    options = 'size = "operator:itemgetter"'
    with pytest.raises(InputError, match="size= failed on batch 0"):
        planned(folder.write(problem=options))


def test_a_file_that_changed_since_the_plan_is_refused(folder):
    """Oracle: the file is replaced by one of another size."""
    folder.add("m0")
    (model,), loader, _ = planned(folder.write())
    torch.save({"other": torch.zeros(100)}, model.path)
    with pytest.raises(CheckpointError, match="changed after the run was planned"):
        loader.problem(model)


def test_other_data_than_planned_are_refused(folder):
    """Oracle: a fingerprint that is not that of the data."""
    folder.add("m0")
    _, loader, _ = planned(folder.write())
    loader.setup = replace(loader.setup, fingerprint="0" * 64)
    with pytest.raises(InputError, match="'toy_data:blobs' is not deterministic"):
        loader.data()


def test_metrics_that_do_not_fit_are_noted_by_model(folder):
    """Oracle: a loss of 5 was recorded, where that of two classes is about 0.7."""
    folder.add("m0", "metrics = { test_loss = 5.0 }")
    path = folder.write()
    path.write_text(path.read_text().replace('blobs"', 'blobs"\nsplit = "test"'))
    (model,), loader, _ = planned(path)
    loader.problem(model)
    assert "test_loss was recorded as 5" in loader.metric_mismatches["m0"]


def test_seeds_are_set_within_and_restored_after():
    """Oracle: the generators seeded by hand, and their next draws without an interruption."""

    def draws():
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    def seed(number):
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002
        torch.manual_seed(number)

    seed(0)
    zero = draws()
    seed(7)
    uninterrupted = draws()
    seed(7)
    with pytest.raises(ValueError, match="x"), seeded():
        assert draws() == zero
        raise ValueError("x")
    assert draws() == uninterrupted


def test_reading_is_told_as_it_goes(folder):
    """Oracle: batches of 5, 5 and 2 examples."""
    folder.add("m0")
    spec = Zoo.from_manifest(folder.write(problem="batch_size = 5"))
    told = []
    _, loader = spec._plan(None, Store(spec.store), False)
    Loader(loader.setup, on_read=told.append).data()
    assert told == [5, 10, 12]


def test_a_checkpoint_swapped_for_one_that_looks_the_same_is_noticed(folder):
    """Oracle: other bytes of the same size, with the time of change of the former."""
    folder.add("m0")
    (model,), loader, _ = planned(folder.write())
    status = model.path.stat()
    state = torch.load(model.path)
    for values in state.values():
        values.add_(1)
    torch.save(state, model.path)
    assert model.path.stat().st_size == status.st_size
    os.utime(model.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(CheckpointError, match="changed after the run was planned"):
        loader.problem(model)

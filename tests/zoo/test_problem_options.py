"""Options of a problem: the same everywhere, and in keys as they always were."""

from __future__ import annotations

import inspect
import json
import pickle

import pytest

from landscape import Problem
from landscape.core.problem.losses import LOSSES
from landscape.errors import InputError
from landscape.zoo.problem_options import LOSS_NAMES, ProblemOptions


def test_options_are_those_of_a_problem():
    """Oracle: the signature of `landscape.Problem`, names and defaults; the others are about files."""
    parameters = inspect.signature(Problem).parameters
    for name, field in ProblemOptions.model_fields.items():
        about_files = ("loss", "allow", "prefix", "state", "ignore_keys", "loader")
        assert name in about_files or parameters[name].default == field.default, name


def test_facts_are_in_keys_as_they_always_were():
    """Oracle: the JSON that version 0.1.0 put into keys; neither ``allow`` nor an empty prefix is in it."""
    plain = (
        '{"batch_size": 256, "batchnorm": "eval", "device": null, "forward": null, "loss": "cross_entropy",'
        ' "parameters": null, "weight_decay": 0.0}'
    )
    assert json.dumps(ProblemOptions().facts(), sort_keys=True) == plain
    assert ProblemOptions(allow=("argparse.Namespace",)).facts() == ProblemOptions().facts()
    assert ProblemOptions(channels_last=False).facts() == ProblemOptions().facts() | {"channels_last": False}
    assert ProblemOptions(state="ema", ignore_keys="*.ids").facts() == ProblemOptions().facts() | {
        "state": "ema",
        "ignore_keys": ["*.ids"],
    }
    unchecked = ProblemOptions(check_derivatives=False).facts()
    assert unchecked == ProblemOptions().facts() | {"check_derivatives": False}
    every = ProblemOptions(weight_decay=1, parameters="0.*", prefix="net.", forward="a:b", device="cpu")
    assert json.dumps(every.facts(), sort_keys=True) == (
        '{"batch_size": 256, "batchnorm": "eval", "device": "cpu", "forward": "a:b", "loss": "cross_entropy",'
        ' "parameters": ["0.*"], "prefix": "net.", "weight_decay": 1.0}'
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_deacy": 1}, "a problem has no option 'weight_deacy'; did you mean 'weight_decay'"),
        ({"batchnorm": "x"}, "option 'batchnorm' of the problem cannot be 'x': .*'checkpoint' or 'batch'"),
        ({"weight_decay": -1}, "option 'weight_decay' of the problem cannot be -1"),
        ({"weight_decay": float("inf")}, "option 'weight_decay' of the problem cannot be inf"),
        ({"batch_size": 0}, "option 'batch_size' of the problem cannot be 0"),
        ({"forward": "no_colon"}, "option 'forward' of the problem cannot be 'no_colon'"),
    ],
)
def test_mistakes_are_named(given, message):
    """Oracle: one mistake each."""
    with pytest.raises(InputError, match=message):
        ProblemOptions.check(given)


def test_they_travel_between_processes():
    """Oracle: equality; a worker keeps its data as long as the options are equal."""
    options = ProblemOptions(parameters=["a", "b"], device="cuda:1")
    assert pickle.loads(pickle.dumps(options)) == options
    assert options != ProblemOptions(parameters=["a"], device="cuda:1")


def test_losses_that_have_a_name_are_those_of_the_problem():
    """Oracle: the losses themselves; a word that is none is refused when options are read."""
    assert set(LOSS_NAMES) == set(LOSSES)
    assert ProblemOptions(loss="my.losses:own").loss == "my.losses:own"
    with pytest.raises(
        InputError, match="option 'loss' of the problem cannot be 'crossentropy': give causal_lm, cross"
    ):
        ProblemOptions.check({"loss": "crossentropy"})

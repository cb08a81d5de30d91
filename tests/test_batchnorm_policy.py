"""The words for BatchNorm statistics: old ones mean what they meant, and keys stay as they were."""

from __future__ import annotations

import pytest
from cases import CASES, images

import landscape
from landscape import Problem
from landscape.batchnorm_policy import key_word, normalise
from landscape.zoo.problem_options import ProblemOptions


@pytest.mark.parametrize(
    ("old", "new"),
    [("eval", "checkpoint"), ("frozen", "checkpoint"), ("keep", "checkpoint"), ("train", "batch")],
)
def test_words_of_before(old, new):
    """Oracle: the table of the changelog; whatever is no such word is not changed."""
    assert normalise(old) == normalise(new) == new
    assert [normalise(word) for word in ("recalibrate", "repair", "nonsense", None, 3)] == [
        "recalibrate",
        "repair",
        "nonsense",
        None,
        3,
    ]


def test_a_problem_takes_both_words():
    """Oracle: bits of the loss, once by the old and once by the new word."""
    model = CASES["conv_batchnorm"].model()
    for old, new in (("eval", "checkpoint"), ("train", "batch")):
        a, b = (Problem(model, "cross_entropy", images(), batchnorm=w, batch_size=7) for w in (old, new))
        assert a.batchnorm == b.batchnorm == b.provenance()["batchnorm"] == new
        assert a.loss() == b.loss()


def test_options_take_both_words():
    """Oracle: the options of the analysis, equal as JSON, and so with one key."""
    words = {"line": "frozen", "surface": "frozen", "connect": "keep", "connectivity": "keep"}
    for name, old in words.items():
        analysis = getattr(landscape, name)
        assert analysis.validate({"batchnorm": old}) == analysis.validate({"batchnorm": "checkpoint"})


def test_keys_of_problems_stay():
    """Oracle: what keys of version 0.1 hashed, in its words."""
    for word, hashed in (("eval", "eval"), ("checkpoint", "eval"), ("train", "train"), ("batch", "train")):
        assert key_word(word) == hashed
        assert ProblemOptions(batchnorm=word).facts()["batchnorm"] == hashed

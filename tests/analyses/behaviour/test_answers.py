"""What results say of their answers."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from landscape.analyses.behaviour._answers import counted, nats, share_interval
from landscape.core.stats.hypothesis import wilson


def result(kind=None, answers=0):
    """A result with so much in it."""
    return xr.Dataset({} if kind is None else {"classification": kind, "answers": answers})


@pytest.mark.parametrize(
    ("ds", "words", "unit"),
    [
        (result(), "30 examples", "nats/example"),  # of an older version
        (result("classes", 30), "30 examples", "nats/example"),
        (result("classes, soft targets", 30), "30 examples", "nats/example"),
        (result("one logit", 30), "30 examples", "nats/example"),
        (result("labels", 150), "150 answers of 30 examples", "nats/answer"),
        (result("classes at positions", 99), "99 answers of 30 examples", "nats/answer"),
    ],
)
def test_answers_are_counted_in_words(ds, words, unit):
    """Oracle: the words a reader must see."""
    assert counted(ds, 30) == words
    assert nats({"a": result("classes", 30), "b": ds}) == unit


def test_bands_are_worth_their_errors():
    """Oracle: Wilson's interval of as many independent answers as the error says, or of the examples."""
    share, error = np.array([0.5, 0.8, 1.0]), np.array([0.05, 0.001, 0.0])
    plain = share_interval(result("classes", 30), share, error, 30)
    np.testing.assert_array_equal(plain, wilson(share, np.full(3, 30.0)))
    found = share_interval(result("labels", 150), share, error, 30)
    # 0.25/0.05² is 100; no more than there are; where the error is 0, the examples
    np.testing.assert_allclose(found, wilson(share, np.array([100.0, 150.0, 30.0])), rtol=1e-12)

"""Results on the same axes."""

from __future__ import annotations

import numpy as np
import pytest

import landscape
from landscape.errors import InputError


def test_compare_draws_results_on_the_same_axes(make: dict) -> None:
    """Oracle: one curve per result, called by its model or numbered where that is not enough."""
    results = [make["line"]("resnet-s0"), make["line"]("vit-s0")]
    figure = landscape.compare(results, figure="loss")
    assert {t.name for t in figure.data if t.showlegend} == {"resnet-s0", "vit-s0"}
    twice = landscape.compare([results[0], results[0]], figure="loss")
    assert {t.name for t in twice.data if t.showlegend} == {"resnet-s0 (1)", "resnet-s0 (2)"}
    with pytest.raises(InputError, match="nothing to compare"):
        landscape.compare([])
    with pytest.raises(InputError, match="no figure compares"):
        landscape.compare({"a": results[0], "b": make["spectrum"]("vit-s0")})
    assert (
        np.asarray(landscape.compare({"mine": results[0]}, "matplotlib", "loss").get_size_inches()).min() > 1
    )

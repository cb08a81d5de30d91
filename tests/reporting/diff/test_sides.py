"""Which models a name stands for."""

from __future__ import annotations

import pytest

from landscape.errors import InputError
from landscape.reporting.diff.sides import side_of, sides_of


def test_a_model_a_group_and_a_pattern(two_groups):
    """Oracle: the names of the fixture."""
    assert side_of(two_groups, "plain-s1").models == ("plain-s1",)
    group = side_of(two_groups, "smooth")
    assert group.models == ("smooth-s0", "smooth-s1") and group.several
    assert side_of(two_groups, "*-s0").models == ("plain-s0", "smooth-s0")


def test_what_cannot_be_compared_is_said_in_a_sentence(two_groups):
    """Oracle: the nearest name, and the model that both hold."""
    with pytest.raises(InputError, match="no model or group 'plian'; did you mean 'plain'"):
        side_of(two_groups, "plian")
    with pytest.raises(InputError, match="both hold the model 'plain-s0'"):
        sides_of(two_groups, "plain", "*-s0")


def test_a_group_that_is_a_subject_itself():
    """Oracle: without results of its models, the result under the group's own name."""
    from landscape.reporting.diff.sides import Side

    assert Side("g", ("m0", "m1")).of({"g": 7}) == [7]
    assert Side("g", ("m0", "m1")).of({"m1": 1, "m0": 0}) == [0, 1]

"""Validation: what is said of an option says what to give."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, field_validator

from landscape.base.params import Params
from landscape.base.validation import admits_truth_values, found_wrong, shown


class Options(Params):
    """One of each kind."""

    count: int = Field(3, ge=1, le=9, description="a number of things")
    share: float = Field(0.5, gt=0, lt=1, description="a share")
    name: str = Field("x", min_length=1, description="a name")
    flag: bool = Field(False, description="a switch")
    way: Literal["up", "down"] = Field("up", description="a way")
    pair: tuple[int, int] = Field((51, 52), description="two numbers")
    radii: tuple[Annotated[float, Field(gt=0)], ...] = Field((), description="numbers")
    either: int | Literal["all"] = Field("all", description="a number or all")
    where: str = Field("a:b", pattern="^a:b$", description="a reference")
    table: dict[str, int] = Field({}, description="numbers by name")
    seed: int = Field(0, ge=0, description="a seed")

    @field_validator("name")
    @classmethod
    def _no_z(cls, value: str) -> str:
        if value == "z":
            raise ValueError("give a name other than z.")
        return value


SAID = [
    ({"count": 2.5}, "count", "cannot be 2.5: give a whole number"),
    ({"count": "x"}, "count", "cannot be 'x': give a whole number"),
    ({"count": True}, "count", "cannot be True: this option is not turned on or off; give its value"),
    ({"count": 0}, "count", "cannot be 0: give at least 1"),
    ({"count": 10}, "count", "cannot be 10: give at most 9"),
    ({"count": 10**30}, "count", f"cannot be {10**30}: give a smaller number"),
    ({"count": 10**5000}, "count", "cannot be a number of so many digits: give a smaller number"),
    ({"share": 0}, "share", "cannot be 0: give more than 0"),
    ({"share": 1}, "share", "cannot be 1: give less than 1"),
    ({"share": float("nan")}, "share", "cannot be nan: give a finite number"),
    ({"share": None}, "share", "cannot be None: give a number"),
    ({"name": ""}, "name", "cannot be '': give at least one"),
    ({"name": 3}, "name", "cannot be 3: give a text"),
    ({"name": "z"}, "name", "cannot be 'z': give a name other than z"),
    ({"flag": "perhaps"}, "flag", "cannot be 'perhaps': give true or false"),
    ({"way": "sideways"}, "way", "cannot be 'sideways': give 'up' or 'down'"),
    ({"pair": 5}, "pair", "cannot be 5: give a list such as [51, 52]"),
    ({"pair": (1, 2, 3)}, "pair", "cannot be (1, 2, 3): give a list such as [51, 52]"),
    ({"pair": (True, 2)}, "pair", "cannot be (True, 2): this option is not turned on or off; give its value"),
    ({"radii": 5}, "radii", "cannot be 5: give a list"),
    ({"radii": (1.0, 0.0)}, "radii.1", "cannot be 0.0: give more than 0"),
    ({"where": "b"}, "where", "cannot be 'b': give 'package.module:name'"),
    ({"table": 3}, "table", "cannot be 3: give a table of names and values"),
    ({"seed": 2**64}, "seed", f"cannot be {2**64}: give a seed from 0 to 2^64 - 1"),
    ({"seed": -1}, "seed", "cannot be -1: give a seed from 0 to 2^64 - 1"),
]


@pytest.mark.parametrize(("given", "place", "clause"), SAID)
def test_what_is_wrong_says_what_to_give(given, place, clause):
    """Oracle: the words, by hand; none is pydantic's."""
    with pytest.raises(ValidationError) as raised:
        Options(**given)
    assert found_wrong(raised.value, Options.model_fields) == (place, clause)


def test_a_missing_value_of_a_list_is_said_of_the_list():
    """Oracle: the default shows how many there are."""
    with pytest.raises(ValidationError) as raised:
        Options(pair=(1,))
    place, clause = found_wrong(raised.value, Options.model_fields)
    assert place == "pair" and clause.endswith("give a list such as [51, 52]")


def test_the_largest_seeds_and_switches_are_taken():
    """Oracle: what torch's generators take."""
    assert Options(seed=2**64 - 1, flag=True, either="all").seed == 2**64 - 1
    assert [admits_truth_values(kind) for kind in (bool, int, bool | None, tuple[int, ...], Any)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert len(shown("x" * 1000)) < 90

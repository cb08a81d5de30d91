"""Options: how they are read, and how they are written into keys."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, ValidationError

import landscape
from landscape.base.params import DATA_BUILDER, NEW_OPTION, Params
from landscape.errors import InputError


class Earlier(Params):
    """Options of an analysis, as they were."""

    layers: tuple[str, ...] = Field(("*",), description="layers")
    power: int = Field(2, description="a power")


def test_one_text_is_a_list_of_those_between_commas():
    """Oracle: the list written out; a number is none."""
    assert Earlier(layers="stages.*, head").layers == ("stages.*", "head")
    assert Earlier(layers=["a"]).layers == ("a",)


@pytest.mark.parametrize("given", [{"pwer": 2}, {"power": float("nan")}, {"power": "x"}])
def test_what_is_no_option_is_refused(given):
    """Oracle: by inspection: a wrong name, a value that JSON has not, a wrong type."""
    with pytest.raises(ValidationError):
        Earlier(**given)


def test_a_new_option_is_written_only_where_it_is_set():
    """Oracle: the text of before the option, which is the key of results in stores."""

    class Later(Earlier):
        """With an option of later."""

        shift: Annotated[tuple[int, int] | None, Field(description="a shift"), NEW_OPTION] = None

    assert Later().model_dump_json() == Earlier().model_dump_json()
    assert Later.model_validate_json(Earlier().model_dump_json()) == Later()
    assert Later(shift=(1, 2)).model_dump()["shift"] == (1, 2)
    assert Later.model_validate_json(Later(shift=(1, 2)).model_dump_json()).shift == (1, 2)


def test_builders_of_data_are_told():
    """Oracle: references and arguments by hand; an option that is not set names none."""

    class Reading(Params):
        """With data beside the problem's."""

        one: Annotated[str, Field(description="data"), DATA_BUILDER] = ""
        test: Annotated[str | None, Field(description="data"), DATA_BUILDER] = None
        test_kwargs: dict[str, int] = Field({}, description="arguments")
        several: Annotated[tuple[str, ...], Field(description="data"), DATA_BUILDER] = ()
        far_data: Annotated[str, Field(description="data"), DATA_BUILDER] = ""
        far_kwargs: dict[str, int] = Field({}, description="arguments")
        other: str = Field("a:b", description="no data")

    assert Reading().data_builders() == []
    found = Reading(one="a:b", test="c:d", test_kwargs={"n": 3}, several="e:f, g:h").data_builders()
    assert found == [("a:b", {}), ("c:d", {"n": 3}), ("e:f", {}), ("g:h", {})]
    assert Reading(far_data="a:b", far_kwargs={"n": 4}).data_builders() == [("a:b", {"n": 4})]


def test_a_pair_takes_one_number_for_both():
    """Oracle: the pair of it; as text, as the command line gives it, too; a pair stays as it is."""
    surface = landscape.surface
    assert surface.validate({"steps": 21}).steps == (21, 21) == surface.validate({"steps": "21"}).steps
    assert surface.validate({"steps": (3, 5)}).steps == (3, 5)
    for wrong in (True, 2.5, "x", 1):
        with pytest.raises(InputError, match="steps"):
            surface.validate({"steps": wrong})

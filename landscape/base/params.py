"""Options of an analysis: what they may be, and how they are written into keys and provenance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from landscape.base.validation import admits_truth_values
from landscape.errors import suggest

__all__ = ["DATA_BUILDER", "FUNCTION", "NEW_OPTION", "ONE_FOR_BOTH", "Params", "check_numbers", "no_option"]

SEEDS = 2**64
"""Seeds are below it: more than this no generator takes."""

MOST = 2**63 - 1
"""No other number is more: what counts or measures in arrays has 64 bits."""

NEW_OPTION = "written only where it is set: results of before the option keep their keys"
"""Marks an option, in its ``Annotated`` type, that an analysis with stored results has got since."""

FUNCTION = "names a function of the user's, which is looked up before anything is computed"
"""Marks an option, in its ``Annotated`` type, whose value is ``package.module:function``, or several."""

DATA_BUILDER = "names a builder of data, or several, whose content enters the key of a zoo's result"
"""Marks an option, in its ``Annotated`` type, whose value is ``package.module:function``.

Its arguments are those of the option called ``<name>_kwargs``, if there is one; of ``<what>_data`` also those
called ``<what>_kwargs``.
"""


ONE_FOR_BOTH = "takes one number for both: steps=21 is steps=(21, 21)"
"""Marks an option, in its ``Annotated`` type, that is a pair of numbers."""


class Params(BaseModel):
    """Base of an analysis' options: validated, frozen, unknown names refused.

    Every field needs a default and a description; values must be writable as JSON, since they are part
    of a result's key and provenance. An option that takes a tuple of any length also takes one value as
    text, or some with commas between: ``layers="stages.*, head"``.
    """

    moved: ClassVar[dict[str, str]] = {}
    """Options that the analysis had once: their names, and the analysis that has them now."""

    # No NaN or infinity: JSON has neither, and a key made of NaN would never be found again.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        kind = cls.model_fields[name].annotation
        check_numbers(name, kind, value)
        if ONE_FOR_BOTH in cls.model_fields[name].metadata:
            value = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
            return (value, value) if isinstance(value, int) else value
        several = get_origin(kind) is tuple and Ellipsis in get_args(kind)
        if several and isinstance(value, str) and value.strip():
            return tuple(part.strip() for part in value.split(","))
        return value

    def data_builders(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What makes the data that the analysis reads beside the problem's: references and arguments."""
        found: list[tuple[str, Mapping[str, Any]]] = []
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if DATA_BUILDER not in field.metadata or not value:
                continue
            references = (value,) if isinstance(value, str) else value
            short = getattr(self, f"{name.removesuffix('_data')}_kwargs", {})
            found += [(reference, getattr(self, f"{name}_kwargs", short)) for reference in references]
        return found

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        new = {n for n, f in type(self).model_fields.items() if NEW_OPTION in f.metadata}
        unset = {name for name in new if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in write(self).items() if name not in unset}


def no_option(analysis: str, params: type[Params], name: str, more: Iterable[str] = ()) -> str:
    """What to say of an option that an analysis does not have.

    Args:
        analysis: Its name.
        params: Its options.
        name: What was given.
        more: What else could have been meant.
    """
    if name in params.moved:
        new = params.moved[name]
        return (
            f"option '{name}' of '{analysis}' is one of the analysis '{new}' now: leave it out here, and set"
            f" it under [analyses.{new}] or call landscape.{new}(..., {name}=...)."
        )
    hint = suggest(name, {*params.model_fields, *more})
    return f"analysis '{analysis}' has no option '{name}'; {hint}"


def check_numbers(name: str, kind: Any, value: Any) -> None:
    """Raise for a truth value where a number or a text is wanted, and for a number that no array holds."""
    if isinstance(value, list | tuple):
        for part in value:
            check_numbers(name, kind, part)
    elif isinstance(value, bool):
        # Python counts True as 1: `k = true` would be one eigenvalue.
        if not admits_truth_values(kind):
            raise ValueError("this option is not turned on or off; give its value")
    elif isinstance(value, int):
        seed = name == "seed"
        if not (0 <= value < SEEDS if seed else -MOST <= value <= MOST):
            raise ValueError("give a seed from 0 to 2^64 - 1" if seed else "give a smaller number")

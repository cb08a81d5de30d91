"""Options of an analysis: what they may be, and how they are written into keys and provenance."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

__all__ = ["NEW_OPTION", "Params"]

NEW_OPTION = "written only where it is set: results of before the option keep their keys"
"""Marks an option, in its ``Annotated`` type, that an analysis with stored results has got since."""


class Params(BaseModel):
    """Base of an analysis' options: validated, frozen, unknown names refused.

    Every field needs a default and a description; values must be writable as JSON, since they are part
    of a result's key and provenance. An option that takes a tuple of any length also takes one value as
    text, or some with commas between: ``layers="stages.*, head"``.
    """

    # No NaN or infinity: JSON has neither, and a key made of NaN would never be found again.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[str(info.field_name)].annotation
        several = get_origin(kind) is tuple and Ellipsis in get_args(kind)
        if several and isinstance(value, str) and value.strip():
            return tuple(part.strip() for part in value.split(","))
        return value

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        new = {n for n, f in type(self).model_fields.items() if NEW_OPTION in f.metadata}
        unset = {name for name in new if getattr(self, name) == type(self).model_fields[name].default}
        return {name: value for name, value in write(self).items() if name not in unset}

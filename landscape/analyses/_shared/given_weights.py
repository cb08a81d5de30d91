"""Weights that an analysis is given beside the models: as an input, or by a function that options name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError
from landscape.imports import call

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.base.analysis import Context

__all__ = ["given_weights"]


def given_weights(
    context: Context, name: str, reference: str, kwargs: Mapping[str, Any], analysis: str, what: str
) -> Mapping[str, Tensor] | None:
    """The input of a name, or what the option ``<name>_state`` returns; ``None`` if neither is given.

    Args:
        context: With the inputs.
        name: Of the input: a state_dict, or a module.
        reference: The option: ``package.module:function``, or empty.
        kwargs: Its arguments.
        analysis: Who asks, for error messages.
        what: What the weights are, with its verb, for error messages.

    Raises:
        InputError: If both are given, or it is no state_dict.
    """
    given = context.inputs.get(name)
    if given is not None and reference:
        raise InputError(f"{analysis} takes either the input {name} or the option {name}_state, not both.")
    if reference:
        given = call(reference, kwargs, f"{name}_state")
    if given is None:
        return None
    given = given.state_dict() if hasattr(given, "state_dict") else given
    if not isinstance(given, Mapping):
        raise InputError(f"{what} a {type(given).__name__}; give a state_dict.")
    return given

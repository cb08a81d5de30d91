"""Validation: what pydantic finds wrong with an option, in words that say what to give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = ["admits_truth_values", "clause", "found_wrong", "shown"]

_LONGEST = 80

_WANTED = {
    "int": "give a whole number",
    "float": "give a number",
    "bool": "give true or false",
    "string": "give a text",
    "tuple": "give a list",
    "list": "give a list",
    "dict": "give a table of names and values",
    "mapping": "give a table of names and values",
    "model": "give a table of names and values",
}
"""By the first word of pydantic's type of error, what to give."""

_LIMITS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "at most {}"),
}


def found_wrong(error: ValidationError, fields: Mapping[str, FieldInfo]) -> tuple[str, str]:
    """The first thing wrong, as the place and a clause such as ``cannot be 'x': give a whole number``.

    The place is empty if it is all that was given.

    Args:
        error: What pydantic found.
        fields: The options by name: a default shows what a list looks like.
    """
    first = error.errors()[0]
    place = [part for part in first["loc"] if part != "[key]" and "[" not in str(part)]
    wrong, field = clause(first), fields.get(str(place[0])) if place else None
    if field is not None and (wrong == "give a list" or first["type"] in ("missing", "too_long")):
        like = field.default if isinstance(field.default, tuple) and field.default else None
        wrong = f"give a list such as [{', '.join(map(repr, like))}]" if like else "give a list"
        place = place[:1]
    return ".".join(str(part) for part in place), f"cannot be {shown(first['input'])}: {wrong}"


def clause(error: ErrorDetails) -> str:
    """What to give in place of what was given, without a full stop."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context.get("error", error["msg"])).rstrip(".")
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        limit = context[name]
        return f"give {words.format(f'{limit:g}' if isinstance(limit, float) else limit)}"
    if kind in ("int_from_float", "int_parsing_size"):
        return "give a whole number" if kind == "int_from_float" else "give a smaller whole number"
    if kind == "finite_number":
        return "give a finite number"
    if kind == "literal_error":
        return f"give {context['expected']}"
    if kind in ("too_short", "string_too_short"):
        least = context.get("min_length", 1)
        return "give at least one" if least == 1 else f"give at least {least}"
    if kind in ("too_long", "string_too_long"):
        return f"give at most {context.get('max_length')}"
    if kind == "missing":
        return "give more values"
    if kind == "string_pattern_mismatch":
        return "give 'package.module:name'"
    wanted = _WANTED.get(kind.split("_")[0])
    return wanted if wanted is not None else str(error["msg"]).rstrip(".")


def shown(value: Any) -> str:
    """A value as it was given, cut off where it is long.

    Example:
        >>> shown("x" * 5), shown([1] * 99)[-8:]
        ("'xxxxx'", '1, 1 ...')
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**_LONGEST:
        return "a number of so many digits"  # Python refuses to write the longest
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4].rstrip(', ')} ..."


def admits_truth_values(annotation: Any) -> bool:
    """Whether an option of this type may be true or false.

    Example:
        >>> admits_truth_values(int), admits_truth_values(bool | None), admits_truth_values(Any)
        (False, True, True)
    """
    return annotation in (bool, Any, object) or any(
        isinstance(kind, bool) or admits_truth_values(kind) for kind in get_args(annotation)
    )

"""Sentences that differ in their numbers alone, said once for all that they are about."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["alike_texts"]

# Not the digits of a name, such as float64 or fc1.
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")


def alike_texts(texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Sentences, each with the names that it is about; numbers that differ are said from least to largest.

    Args:
        texts: A sentence for each name; names with an empty one are left out.

    Example:
        >>> alike_texts({"a": "1 of 3 is loose, by 0.5", "b": "2 of 3 is loose, by 0.25", "c": "cut"})
        {'1 to 2 of 3 is loose, by 0.25 to 0.5': ('a', 'b'), 'cut': ('c',)}
    """
    alike: dict[str, dict[str, list[str]]] = {}
    for name, text in texts.items():
        if text:
            alike.setdefault(_NUMBER.sub("#", text), {})[name] = _NUMBER.findall(text)
    found: dict[str, tuple[str, ...]] = {}
    for members in alike.values():
        columns = iter(zip(*members.values(), strict=True))
        first = texts[next(iter(members))]
        found[_NUMBER.sub(lambda _, columns=columns: _span(next(columns)), first)] = tuple(members)  # type: ignore[misc]
    return found


def _span(numbers: tuple[str, ...]) -> str:
    ordered = sorted(numbers, key=lambda number: float(number.replace("−", "-")))
    least, largest = ordered[0], ordered[-1]
    return (
        least
        if float(least.replace("−", "-")) == float(largest.replace("−", "-"))
        else f"{least} to {largest}"
    )

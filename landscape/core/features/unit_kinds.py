"""The kinds of units a network is made of: words that options and pictures use. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

__all__ = ["KINDS", "SYMBOL_LEGEND", "UnitKind", "symbol_key", "symbols_of"]

UnitKind = Literal[
    "convolution",
    "attention",
    "mlp",
    "norm",
    "block",
    "downsampling",
    "residual_sum",
    "linear",
    "activation",
]
"""A residual sum is ``a + b`` of two features of one shape; all other kinds are modules."""

KINDS: tuple[UnitKind, ...] = get_args(UnitKind)

_SYMBOL_OF_KIND: dict[str, str] = {
    "attention": "diamond",
    "convolution": "circle",
    "mlp": "square",
    "downsampling": "triangle",
}
"""Point symbols of the kinds told apart in pictures; all others are crosses."""

SYMBOL_LEGEND = (
    "diamonds attention, circles convolutions, squares MLPs, triangles downsampling, crosses others"
)
"""The same in words, for captions."""

_WORDS = {"mlp": "MLP"}


def symbols_of(kinds: Iterable[str]) -> tuple[str, ...]:
    """The point symbol of each unit.

    Example:
        >>> symbols_of(["attention", "norm"])
        ('diamond', 'cross')
    """
    return tuple(_SYMBOL_OF_KIND.get(str(kind), "cross") for kind in kinds)


def symbol_key(kinds: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """What the symbols of these units mean, for the legend of a figure; nothing if there is but one.

    Example:
        >>> symbol_key(["norm", "mlp", "attention", "mlp"])
        (('diamond', 'attention'), ('square', 'MLP'), ('cross', 'norm'))
    """
    present = dict.fromkeys(str(kind) for kind in kinds)
    entries = [
        (symbol, _WORDS.get(kind, kind)) for kind, symbol in _SYMBOL_OF_KIND.items() if kind in present
    ]
    rest = [kind.replace("_", " ") for kind in present if kind not in _SYMBOL_OF_KIND]
    if rest:
        entries.append(("cross", rest[0] if len(rest) == 1 else "other"))
    return tuple(entries) if len(entries) > 1 else ()

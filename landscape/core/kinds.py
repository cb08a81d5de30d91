"""The kinds of units a network is made of: words that options and pictures use. Needs no torch."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["KINDS", "SYMBOL_LEGEND", "SYMBOL_OF_KIND", "Kind"]

Kind = Literal[
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

KINDS: tuple[Kind, ...] = get_args(Kind)

SYMBOL_OF_KIND: dict[str, str] = {
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

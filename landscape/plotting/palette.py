"""Palette: one look for each model in every figure, chosen for colour-blind readers.

The hues are the six chromatic colours of Okabe and Ito (2008) that stay visible on white, and four more; the
field maps are viridis (sequential) and ColorBrewer's RdBu (diverging). All of them stay distinct under
the common forms of colour blindness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from landscape.base.figure import FigureSpec, Guide, Series
from landscape.base.panels import panels_of

__all__ = [
    "DIVERGING",
    "HUES",
    "INK",
    "PLAIN",
    "SEQUENTIAL",
    "Palette",
    "Style",
    "colormap",
    "mix",
    "sample",
]

Dash = Literal["solid", "dash", "dot", "dashdot"]
Symbol = Literal["circle", "square", "diamond", "triangle", "cross"]

# Of Okabe & Ito, which people with any kind of colour vision tell apart; then four that they tell from these.
HUES = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#661100", "#4b0082", "#c00040", "#7b5cd6"),
)
"""One per group, in order: blue, vermilion, green, purple, orange, sky, brown, indigo, crimson, violet."""

INK = "#5b6570"
"""The colour of marks that belong to no model."""

# viridis: its lightness rises evenly, so that steps look alike, also in grey print.
SEQUENTIAL = (
    *("#440154", "#482878", "#3e4989", "#31688e", "#26828e"),
    *("#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"),
)
# RdBu of ColorBrewer: the middle is the lightest, and no green stands against red.
DIVERGING = (
    *("#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7"),
    *("#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"),
)

_SHADES = (("#000000", 0.0), ("#000000", 0.4), ("#ffffff", 0.35), ("#000000", 0.65))
_DASHES: tuple[Dash, ...] = ("solid", "dash", "dot", "dashdot")
_SYMBOLS: tuple[Symbol, ...] = ("circle", "square", "diamond", "triangle", "cross")
_LINE_RANGE = (0.12, 0.88)  # the ends of viridis vanish as thin lines on black and on white


@dataclass(frozen=True)
class Style:
    """The look of one model.

    Attributes:
        color: As ``#rrggbb``.
        dash: The dash of its lines.
        symbol: The symbol of its points.
    """

    color: str
    dash: Dash
    symbol: Symbol


PLAIN = Style(INK, "solid", "circle")
"""The look of marks that belong to no model."""


def mix(color: str, other: str, share: float) -> str:
    """The colour ``share`` of the way from ``color`` to ``other``; all as ``#rrggbb``.

    Example:
        >>> mix("#000000", "#ffffff", 0.5)
        '#808080'
    """
    pairs = [(int(color[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


def sample(colors: tuple[str, ...], value: float) -> str:
    """The colour at ``value`` in [0, 1] of a map given by equally spaced colours."""
    position = value * (len(colors) - 1)
    left = min(int(position), len(colors) - 2)
    return mix(colors[left], colors[left + 1], position - left)


def colormap(kind: Literal["sequential", "diverging", "line"]) -> tuple[str, ...]:
    """The equally spaced colours of a map; ``line`` is sequential without its faint ends."""
    if kind == "line":
        low, high = _LINE_RANGE
        return tuple(sample(SEQUENTIAL, low + (high - low) * i / 10) for i in range(11))
    return DIVERGING if kind == "diverging" else SEQUENTIAL


class Palette:
    """The look of every model of a zoo.

    Models of one group share a hue and differ in shade, dash and symbol; a model without a group
    has a hue of its own. The look depends only on the order of the mapping, so figures that share a
    palette show a model the same way.

    Args:
        models: Group by model, in the order of the zoo; ``""`` for a model without a group.

    Example:
        >>> palette = Palette({"resnet-0": "resnet", "resnet-1": "resnet", "vit-0": "vit"})
        >>> palette.style(Series("resnet-0", "resnet"))
        Style(color='#0072b2', dash='solid', symbol='circle')
        >>> palette.style(Series("resnet-1", "resnet"))
        Style(color='#00446b', dash='dash', symbol='square')
    """

    def __init__(self, models: Mapping[str, str] | None = None) -> None:
        self._styles: dict[str, Style] = {}
        self._members: dict[tuple[str, str], int] = {}
        self._places: dict[tuple[str, str], int] = {}
        for model, group in (models or {}).items():
            self._add(model, group)

    @classmethod
    def of(cls, figures: Iterable[FigureSpec]) -> Palette:
        """A palette of the models that the figures show, in the order of their marks."""
        return cls({s.model: s.group for figure in figures for s in _series(figure)})

    @classmethod
    def ordered(cls, names: Sequence[str]) -> Palette:
        """A palette of names that have an order (widths, epochs): colours from dark to light."""
        palette = cls()
        for i, name in enumerate(names):
            share = i / max(1, len(names) - 1)
            color = sample(colormap("line"), share)
            palette._styles[name] = Style(color, _DASHES[i % len(_DASHES)], _SYMBOLS[i % len(_SYMBOLS)])
        return palette

    def style(self, series: Series) -> Style:
        """The look of a series; one without a model is grey, an unknown model joins at the end."""
        if not series.model:
            return PLAIN
        if series.model not in self._styles:
            self._add(series.model, series.group)
        return self._styles[series.model]

    def _add(self, model: str, group: str) -> None:
        # A group named like an ungrouped model must not share its hue: hence the pair as the key.
        key = ("group", group) if group else ("model", model)
        member = self._members.get(key, 0)
        self._members[key] = member + 1
        if member and model == group:  # what is said of a group as a whole looks like the group
            member = 0
        lap, hue = divmod(self._places.setdefault(key, len(self._places)), len(HUES))
        # Of more groups than hues the later ones are lighter, or darker.
        towards, share = _SHADES[(member + 2 * lap) % len(_SHADES)]
        self._styles[model] = Style(
            color=mix(HUES[hue], towards, share),
            dash=_DASHES[(member + lap) % len(_DASHES)],
            symbol=_SYMBOLS[(member + lap) % len(_SYMBOLS)],
        )


def _series(figure: FigureSpec) -> Iterator[Series]:
    for mark in (mark for panel in panels_of(figure) for mark in panel.marks):
        if not isinstance(mark, Guide) and mark.series.model:
            yield mark.series

"""Choices: figures of one result of many, shown one result at a time: of a group, of a pair of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from landscape.base.figure import FigureSpec
from landscape.plotting.backends import plotly as draw_plotly
from landscape.plotting.backends import relief as draw_relief
from landscape.plotting.decimation import decimate
from landscape.plotting.gathering import owner
from landscape.plotting.palette import Palette
from landscape.reporting.csv_data import csv_of
from landscape.reporting.encode import compact, packed

__all__ = ["CHOICE_BYTES", "Chooser", "chooser", "owners"]

CHOICE_BYTES = 1_500_000
"""What the figures of single results may take in the page, of one section."""


@dataclass(frozen=True)
class Chooser:
    """The figures that a reader chooses.

    Attributes:
        anchor: Its id.
        what: What is chosen: "group", "pair", "model".
        packs: For each subject its figures, as packed JSON.
        total: How many subjects there are; those without a pack found no room.
        reliefs: Whether one of the figures has a relief.
    """

    anchor: str
    what: str
    packs: dict[str, str]
    total: int
    reliefs: bool = False


def owners(specs: Sequence[FigureSpec], subjects: Sequence[str]) -> list[str]:
    """Of which subject alone each figure is: its title ends with the name; ``""`` if it is of several."""
    known = set(subjects)
    return [owner(spec.title, known) or "" for spec in specs]


def chooser(
    owned: Mapping[str, Sequence[FigureSpec]],
    anchor: str,
    what: str,
    palette: Palette,
    planes: Sequence[FigureSpec],
) -> Chooser:
    """Pack the figures of each subject, in order, until the budget is used up.

    Args:
        owned: The figures of each subject.
        anchor: Id of the section.
        what: What is chosen.
        palette: The look of each model.
        planes: Those of the figures that have a relief.
    """
    packs: dict[str, str] = {}
    left = CHOICE_BYTES
    for subject, specs in owned.items():
        drawn = [_figure(spec, palette, any(spec is plane for plane in planes)) for spec in specs]
        pack = packed(compact(drawn))
        left -= len(pack)
        if left < 0 and packs:
            break
        packs[subject] = pack
    return Chooser(f"{anchor}-choice", what, packs, len(owned), bool(planes))


def _figure(spec: FigureSpec, palette: Palette, plane: bool) -> dict[str, Any]:
    bare = replace(spec, title="", others=())
    small = decimate(bare)
    out: dict[str, Any] = {"title": spec.title, "caption": small.whole_caption, "csv": csv_of(bare)}
    out |= draw_plotly.draw_plain(small, palette)
    if plane:
        out["relief"] = draw_relief.draw_plain(small, palette)
    if spec.others:
        every = {s.choice: _figure(replace(s, others=()), palette, False) for s in (spec, *spec.others)}
        out["choices"] = every
    return out

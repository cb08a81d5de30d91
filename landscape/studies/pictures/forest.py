"""One picture for all claims of a study: effects with their intervals, coloured by verdict."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import get_args

import numpy as np

from landscape.base.figure import Axis, FigureSpec, Guide, Line, Mark, Points, Series
from landscape.plotting.palette import Palette
from landscape.studies.claims import LEVEL, Claim, Verdict

__all__ = ["forest", "verdict_palette"]

LINE = 60  # characters of a claim on one line


def forest(claims: Sequence[Claim], title: str) -> FigureSpec:
    """Each effect over the half-width of its Student interval, which then reaches from -1 to +1 about it.

    Units of claims differ, so this is the scale that they share: the further right, the surer. Claims
    without an interval (NaN) keep an empty row.
    """
    rows = list(claims)[::-1]
    half = np.array([(c.t_high - c.t_low) / 2 for c in rows])
    half = np.where(half > 0, half, np.nan)
    effect, low, high = (np.array([getattr(c, n) for c in rows]) / half for n in ("effect", "low", "high"))
    marks: list[Mark] = [Guide(x=0.0)]
    for verdict in get_args(Verdict):
        places = np.flatnonzero([c.verdict == verdict for c in rows])
        who = Series("" if verdict == "not at this scale" else verdict, label=verdict)
        marks.append(Points(effect[places], places, who, symbols=("circle",) * len(places)))
        for place in places:
            at = np.array([place, place])
            marks.append(Line(effect[place] + np.array([-1.0, 1.0]), at, who, style="solid"))
            if np.isfinite(low[place]):
                ends = np.array([low[place], high[place]])
                marks.append(Points(ends, at, who, symbols=("square",) * 2))
    level = f"{100 * (rows[0].level if rows else LEVEL):g}"
    names = tuple("\n".join(wrap(c.claim, LINE)) for c in rows)
    return FigureSpec(
        "claims",
        title,
        Axis("effect / half its interval (t)", scale="symlog"),
        Axis("", categories=names, limits=(-0.7, len(rows) - 0.3)),
        tuple(marks),
        f"Positive effects support the claim, each in units of half the width of its {level} % interval of"
        " Student's t (lines); squares: ends of the bootstrap's. A claim holds if both lie above zero.",
        symbols=(("square", "bootstrap interval"),),
    )


def verdict_palette() -> Palette:
    """Verdicts look alike in every study, whatever kinds of models it has."""
    palette = Palette()
    for verdict in get_args(Verdict):
        if verdict != "not at this scale":  # grey, as what belongs to nobody
            palette.style(Series(verdict))
    return palette

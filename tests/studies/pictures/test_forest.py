from __future__ import annotations

import numpy as np

import landscape
from landscape.base.figure import Line, Points, Series
from landscape.plotting.palette import HUES, PLAIN
from landscape.studies.claims import Claim
from landscape.studies.pictures.forest import forest, verdict_palette


def test_forest_of_claims():
    """Oracle: an effect of 2 with t interval 1 to 3 stands at 2 half-widths; first claim on top."""
    claims = [
        Claim("a", "p", 2.0, 1.5, 2.5, 1.0, 3.0, "", 3, "reproduced"),
        Claim("b", "p", -1.0, -1.0, -1.0, np.nan, np.nan, "", 1, "not at this scale"),
    ]
    spec = forest(claims, "t")
    assert spec.y.categories == ("b", "a")
    first = next(m for m in spec.marks if isinstance(m, Points) and m.series.name == "reproduced")
    assert (first.x.tolist(), first.y.tolist()) == ([2.0], [1.0])
    line = next(m for m in spec.marks if isinstance(m, Line) and m.series.name == "reproduced")
    assert line.x.tolist() == [1.0, 3.0]
    landscape.plot(spec, backend="matplotlib").draw_without_rendering()


def test_verdicts_look_alike_in_every_study():
    """Oracle: the first two hues, which no kind of model has taken before."""
    palette = verdict_palette()
    look = [palette.style(Series(name)).color for name in ("reproduced", "not reproduced")]
    assert look == list(HUES[:2]) and palette.style(Series("")) == PLAIN

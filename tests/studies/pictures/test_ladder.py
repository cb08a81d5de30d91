"""Ladders: an effect of kinds of models against the number that tells them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from study_models import trained

from landscape.base.figure import Axis
from landscape.studies import Data, Ladder, effects
from landscape.studies.claims import above
from landscape.studies.measured import Measured, Part


def test_kinds_stand_at_their_places(tmp_path: Path):
    """Oracle: means and Student's intervals of numbers put in by hand, by `above`."""
    parts = []
    for shift in (0.0, 1.0, 5.0):
        models = [trained(kind, 0, tmp_path) for kind in ("a", "b")]
        own = {f"{m.name}": xr.Dataset({"x": shift, "z": 7.0 * place}) for place, m in enumerate(models)}
        parts.append(Part(f"p{shift:g}", models, Data.digits(10, 5), {"of": own}))
    lines = {
        "all": (effects.number("x"), {"b": 4.0, "a": 0.5}),
        "one": (effects.number("z"), {"b": 4.0}),
    }
    ladder = Ladder("l", "T", "of", lines, Axis("r"), Axis("y"), "c")
    assert ladder.kinds == ("b", "a")
    spec = ladder.draw(Measured(parts))["l"]
    first, second = spec.marks
    want = above("", "", [0.0, 1.0, 5.0])
    np.testing.assert_allclose(first.y, [want.effect] * 2)
    np.testing.assert_allclose([first.low[0], first.high[1]], [want.t_low, want.t_high])
    assert list(first.x) == [4.0, 0.5]
    assert (first.series.model, second.series.model) == ("all", "one")
    assert list(second.y) == [7.0]

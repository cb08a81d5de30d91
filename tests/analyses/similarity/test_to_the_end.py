from __future__ import annotations

import json

import numpy as np
from cases import CASES

import landscape
from landscape.analyses.similarity._to_the_end import to_the_end
from landscape.analyses.similarity.cka import block


def test_each_layer_is_held_against_itself_at_the_end() -> None:
    """Oracle: `block`, which picks two models out by name; members come in another order than training's."""
    problems = {name: CASES["mlp"].problem() for name in ("late", "early", "middle")}
    for scale, problem in enumerate(problems.values()):
        problem.module[0].weight.data[0] += scale
    ds = landscape.cka(problems, batch_size=8)
    assert to_the_end(0, "zoo", ds, "") == []  # nothing says when these were
    tags = {name: {"epoch": at, "width": 4} for name, at in (("late", 9), ("early", 1), ("middle", 3))}
    told = ds.assign_attrs(member_tags=json.dumps(tags))
    (figure,) = to_the_end(0, "zoo", told, "")
    (cells,) = figure.marks
    assert figure.x.categories == ("1", "3", "9")
    expected = [np.diag(block(ds, name, "late")["cka"]) for name in ("early", "middle", "late")]
    np.testing.assert_array_equal(cells.z, np.array(expected).T)
    np.testing.assert_allclose(cells.z[:, -1], 1.0)
    assert not np.allclose(cells.z[:, 0], 1.0)
    other = {**tags, "middle": {"epoch": 3, "width": 8}}
    assert to_the_end(0, "zoo", ds.assign_attrs(member_tags=json.dumps(other)), "") == []

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr
from study_models import trained

from landscape.errors import InputError
from landscape.studies.associations import Association, rank_correlation
from landscape.studies.claims import above, jackknife
from landscape.studies.data import Data
from landscape.studies.measured import Measured, Part

X = {"a": [1.0, 1.5, 0.3], "b": [0.5, 0.25, 1.0], "c": [3.0, 2.0, 2.5]}
Y = {"a": [0.2, 0.1, 0.4], "b": [0.5, 0.6, 0.1], "c": [0.9, 0.3, 0.9]}


def _measured(folder: Path, hole: bool = False) -> Measured:
    models = [trained(kind, seed, folder) for kind in X for seed in range(3)]
    x, y = (
        {m.name: xr.Dataset({"n": numbers[m.recipe.group][m.seed]}) for m in models} for numbers in (X, Y)
    )
    if hole:
        del y["b-s1"]
    return Measured([Part("", models, Data.digits(10, 5), {"x": x, "y": y})])


def _number(ds: xr.Dataset) -> float:
    return float(ds["n"])


def _association(**changes: object) -> Association:
    given = {"effect": _number, "of": "y", "over": _number, "over_of": "x", "kinds": ("a", "b", "c")}
    return Association("y rises with x", **{**given, **changes})


@pytest.mark.parametrize("sign", [1, -1])
def test_spearmans_correlation_over_models_by_the_jackknife_over_seeds(tmp_path: Path, sign: int):
    """Oracle: SciPy's ρ of all models and without each seed, put into `above`, which has tests of its own."""

    def rho(seeds: list[int]) -> float:
        pairs = [(X[kind][seed], Y[kind][seed]) for kind in X for seed in seeds]
        return sign * spearmanr(*zip(*pairs, strict=True)).statistic

    values = jackknife(rho([0, 1, 2]), [rho([1, 2]), rho([0, 2]), rho([0, 1])])
    got = _association(sign=sign, note="n").judge(_measured(tmp_path), "p")
    unit = "Spearman's ρ" + (", signed as claimed" if sign < 0 else "")
    want = above(
        "y rises with x", "p", values, unit=unit, note="9 models of 3 kinds; jackknife over seeds; n"
    )
    for name, value in asdict(want).items():
        if isinstance(value, float):
            assert getattr(got, name) == pytest.approx(value, rel=1e-12), name
        elif name != "samples":
            assert getattr(got, name) == value


def test_a_missing_number_decides_nothing(tmp_path: Path):
    """Oracle: NaN stays NaN; so does a correlation with what is the same everywhere."""
    claim = _association().judge(_measured(tmp_path, hole=True), "p")
    assert np.isnan(claim.effect)
    assert claim.verdict == "not at this scale"
    assert np.isnan(rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))


def test_one_kind_is_refused():
    """Oracle: the sentence."""
    with pytest.raises(InputError, match="must name two kinds of models or more"):
        _association(kinds=("a",))


def test_one_number_rather_than_another(tmp_path: Path):
    """Oracle: the difference of SciPy's two ρ, by the jackknife over seeds."""

    def rho(seeds: list[int]) -> float:
        y = [Y[kind][seed] for kind in X for seed in seeds]
        x = [X[kind][seed] for kind in X for seed in seeds]
        other = [np.cos(9 * value) for value in x]
        return spearmanr(x, y).statistic - spearmanr(other, y).statistic

    values = jackknife(rho([0, 1, 2]), [rho([1, 2]), rho([0, 2]), rho([0, 1])])
    got = _association(rather_than=lambda ds: np.cos(9 * _number(ds))).judge(_measured(tmp_path), "p")
    want = above("y rises with x", "p", values)
    assert (got.effect, got.t_low) == (pytest.approx(want.effect), pytest.approx(want.t_low))
    assert got.unit == "difference of Spearman's ρ"

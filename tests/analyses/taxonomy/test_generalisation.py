"""``landscape.generalisation`` on grids of settings with planted numbers; tests/export has it on a store."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import landscape
from landscape.errors import InputError
from landscape.plotting import figures_of

SQUARE = {"width": [1, 1, 2, 2], "lr": [1, 2, 1, 2], "test_accuracy": [0.0, 1.0, 2.0, 3.0]}


def planted() -> dict[str, np.ndarray]:
    """54 models of three settings and three seeds; what raises the accuracy is known."""
    rng = np.random.default_rng(0)
    rows = itertools.product((8, 16, 32), (1, 2, 3), ("adam", "sgd"), range(3))
    width, lr, optimizer, seed = (np.array(column) for column in zip(*rows, strict=True))
    quality = 4.0 * np.log2(width) + 1.5 * lr + 0.7 * (optimizer == "sgd")
    seeds = 0.01 * rng.normal(size=width.size)
    return {
        "width": width,
        "lr": lr,
        "optimizer": optimizer,
        "seed": seed,
        "test_accuracy": quality + seeds,
        "spectrum: sharpness": np.exp(-quality - seeds),
        "path norm": np.log2(width),
        "noise": rng.normal(size=width.size),
        "failed": np.full(width.size, np.nan),
    }


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    return landscape.generalisation(planted())


def test_a_number_that_follows_one_of_two_settings_has_psi_one_half() -> None:
    """Oracle: Jiang et al.'s 2 × 2 grid by hand; τ_b = 4/√(4·6), one setting has all pairs tied."""
    ds = landscape.generalisation({**SQUARE, "follows width": [0, 0, 1, 1]})
    assert ds["psi"].item() == 0.5 and ds["tau"].item() == pytest.approx(4 / math.sqrt(24))
    assert ds["axis_tau"].sel(metric="follows width").values.tolist() == [1.0, 0.0]
    assert ds["axis"].values.tolist() == ["width", "lr"] and ds["cells"] == 4
    assert (ds["worst_error"].item(), ds["worst"].item()) == (0.5, "lr: 1, 2")


def test_planted_numbers_are_found(result: xr.Dataset) -> None:
    """Oracle: the construction; signs, ψ and errors by hand, τ by scipy; NaN stays NaN and comes last."""
    table, one = planted(), result.sel(metric="spectrum: sharpness")
    assert (one["tau"], one["psi"], one["worst_error"], one["models"]) == (-1.0, -1.0, 0.0, 54)
    path = result.sel(metric="path norm")
    assert path["psi"] == pytest.approx(1 / 3)
    assert path["tau"] == pytest.approx(
        stats.kendalltau(table["path norm"], table["test_accuracy"]).statistic
    )
    noise = result.sel(metric="noise")
    assert noise["tau_low"] < 0 < noise["tau_high"]
    assert result["metric"].values.tolist() == ["spectrum: sharpness", "path norm", "noise", "failed"]
    failed = result.sel(metric="failed")
    assert failed["models"] == 0 and np.isnan([failed["tau"], failed["psi"], failed["worst_error"]]).all()
    assert result["cells"] == 18 and result["axis"].values.tolist() == ["width", "lr", "optimizer"]
    landscape.generalisation.schema.check(result)
    words = {m.name: m for m in landscape.generalisation.summary(result)}
    assert words["models"].value == 54 and words["τ, spectrum: sharpness"].finding
    assert words["sign error, spectrum: sharpness"].value == 0.0


def test_predictives_stand_in_no_row() -> None:
    """Oracle: the same table without them."""
    plain = {f"model: {n}" if n in ("width", "lr") else n: v for n, v in SQUARE.items()}
    more = {n: [*v, 9] for n, v in plain.items()}
    more["model: members"] = [None, None, None, None, 3]
    one, other = (
        landscape.generalisation({**t, "m": [3, 2, 1, 0, 5][: len(t["test_accuracy"])]})
        for t in (plain, more)
    )
    xr.testing.assert_identical(one.drop_attrs(), other.drop_attrs())
    with pytest.raises(InputError, match="every row of the table is a predictive"):
        landscape.generalisation({**plain, "model: members": [2, 2, 2, 2]})


def test_choices_of_the_caller() -> None:
    """Oracle: by hand."""
    table = {**SQUARE, "loss": [3, 2, 1, 0], "a: norm": [1, 2, 3, 4], "b: norm": [2, 2, 1, 1]}
    ds = landscape.generalisation(table, outcome="loss", settings=("lr",), metrics=("*: norm", "width"))
    assert ds["outcome"].item() == "loss" and ds["axis"].values.tolist() == ["lr"]
    assert sorted(ds["metric"].values) == ["a: norm", "b: norm", "width"]
    assert float(ds["tau"].sel(metric="a: norm")) == -1.0
    bare = landscape.generalisation({"accuracy": [1, 2, 3, 4], "norm": [1, 2, np.inf, 3]})
    assert bare["cells"] == 4 and bare["models"].item() == 3 and np.isnan(bare["psi"].item())


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {}, "no column of numbers for metrics"),
        ({"test_accuracy": ["x"] * 4, "m": [1] * 4}, {}, "outcome=..."),
        ({"m": [1] * 4}, {"outcome": "test_acuracy"}, "did you mean 'test_accuracy'"),
        ({"a: m": [1] * 4, "b: m": [1] * 4}, {"outcome": "m"}, "say which: a: m, b: m"),
        ({"m": [1] * 4}, {"settings": ("widht",)}, "did you mean 'width'"),
    ],
)
def test_unusable_tables_are_named(change: dict, options: dict, message: str) -> None:
    """Oracle: the sentence."""
    with pytest.raises(InputError, match=message):
        landscape.generalisation({**SQUARE, **change}, **options)


def test_pictures_and_file(result: xr.Dataset, tmp_path: Path) -> None:
    """Oracle: what was written; the forest has its strongest row at the top, and says what its bars are."""
    landscape.save(result, tmp_path / "g.h5")
    back = landscape.open(tmp_path / "g.h5")
    xr.testing.assert_identical(back.drop_attrs(), result.drop_attrs())
    forest, settings = figures_of(back)
    assert forest.y.categories is not None and forest.y.categories[-1] == "spectrum: sharpness"
    assert "95 % intervals, by the jackknife over cells" in forest.whole_caption
    assert settings.x.categories == ("width", "lr", "optimizer")
    bare = landscape.generalisation({"accuracy": [1, 2, 3, 4], "norm": [1, 2, 4, 3]})
    landscape.save(bare, tmp_path / "bare.h5")  # without settings: a dimension of length 0
    assert [f.name for f in figures_of(landscape.open(tmp_path / "bare.h5"))] == ["tau"]
    for spec in (forest, settings, *figures_of(bare)):
        landscape.plot(spec, backend="matplotlib")
        landscape.plot(spec, backend="plotly")

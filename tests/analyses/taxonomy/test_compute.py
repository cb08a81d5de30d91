"""``landscape.taxonomy`` on tables, and on a published grid where it is at hand."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import spearmanr

import landscape
from landscape.errors import InputError
from landscape.plotting import figures_of

PUBLISHED = Path(__file__).parents[4] / "shared" / "data" / "resnet18_cifar10_load_temperature.csv"


def grid(seeds: int = 1) -> dict[str, np.ndarray]:
    """A made-up grid of 5 loads and 4 temperatures with every phase in it."""
    rng = np.random.default_rng(0)
    load, temperature = (a.ravel() for a in np.meshgrid(2.0 ** np.arange(5), [16.0, 32.0, 64.0, 128.0]))
    quality = np.log2(load) / 4
    columns = {
        "load": load,
        "temperature": temperature,
        "training_loss": 1 - quality,
        "test_accuracy": 60 + 30 * quality + rng.normal(0, 0.5, load.size),
        "log_top_eigenvalue": np.where((quality < 0.5) | (temperature < 20), 5.0, 1.0),
        "log_trace": 6 - quality,
        "mode_connectivity": np.where(quality < 0.6, -15.0, 0.0) + rng.normal(0, 0.1, load.size),
        "cka": np.where(temperature < 100, 0.8, 0.5),
        "l2_distance": load,
    }
    return {name: np.repeat(values, seeds) for name, values in columns.items()}


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    return landscape.taxonomy(grid(), resamples=200)


def test_result_fits_its_schema_and_says_where_it_comes_from(result: xr.Dataset) -> None:
    """Oracle: the declaration."""
    analysis = landscape.taxonomy
    analysis.schema.check(result)
    assert result.attrs["analysis"] == "taxonomy"
    assert len(result.attrs["table_sha256"]) == 64
    assert {m.name for m in analysis.summary(result)} >= {"cells", "best phase"}
    assert str(analysis.__signature__).startswith("(table, /")


def test_phases_of_a_planted_grid(result: xr.Dataset) -> None:
    """Oracle: the planted phases, read off the construction."""
    table = grid()
    order = np.lexsort((table["temperature"], table["load"]))
    column = {name: values[order] for name, values in table.items()}
    sharp, poor = column["log_top_eigenvalue"] > 3, column["mode_connectivity"] < -5
    alike = column["cka"] > 0.6
    want = np.select([sharp & poor, sharp, poor, alike], ["I", "II", "III", "IV-B"], "IV-A")
    assert (result["phase"].values == want).all()
    for i, name in enumerate(result["kind"].values):
        assert result["phase_cells"].values[i] == (want == name).sum()
        assert result["phase_accuracy"].values[i] == pytest.approx(
            column["test_accuracy"][want == name].mean()
        )
    assert (result["phase_stability"].values > 0.9).all()


def test_records_mapping_and_frame_agree(result: xr.Dataset) -> None:
    """Oracle: the same numbers in three containers, and in another order of rows."""
    pandas = pytest.importorskip("pandas")
    table = grid()
    records = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)][::-1]
    for other in (records, pandas.DataFrame(table)):
        again = landscape.taxonomy(other, resamples=200)
        xr.testing.assert_identical(again.drop_attrs(), result.drop_attrs())


def test_rows_of_one_cell_are_averaged(result: xr.Dataset) -> None:
    """Oracle: three equal rows per cell must change nothing but their count."""
    again = landscape.taxonomy(grid(seeds=3), resamples=200)
    assert (again["rows"].values == 3).all()
    np.testing.assert_allclose(again["cka"], result["cka"], rtol=1e-15)
    assert (again["phase"].values == result["phase"].values).all()


def test_other_column_names_and_raw_eigenvalues(result: xr.Dataset) -> None:
    """Oracle: exp and renaming undone by the reader."""
    table = grid()
    table["top_eigenvalue"] = np.exp(table.pop("log_top_eigenvalue"))
    table["trace"] = np.exp(table.pop("log_trace"))
    table["rank"] = table.pop("load")
    again = landscape.taxonomy(table, columns={"load": "rank"}, resamples=200)
    np.testing.assert_allclose(again["log_top_eigenvalue"], result["log_top_eigenvalue"], rtol=1e-14)
    np.testing.assert_allclose(again["log_trace"], result["log_trace"], rtol=1e-14)


def test_nan_stays_nan_and_optional_columns_may_lack(result: xr.Dataset) -> None:
    """Oracle: a cell without connectivity has no phase; the others keep theirs."""
    table = grid()
    del table["l2_distance"]
    table["mode_connectivity"][0] = np.nan
    again = landscape.taxonomy(table, resamples=200)
    lost = again["phase"].values == ""
    assert lost.sum() == 1
    assert np.isnan(again["phase_stability"].values[lost]).all()
    assert (again["phase"].values[~lost] == result["phase"].values[~lost]).all()
    assert np.isnan(again["spearman"].sel(metric="l2_distance"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("cka"), "no column cka"),
        (lambda t: t.update(width=t["load"]), "load and width"),
        (lambda t: t.update(cka=np.array(["x"] * 20)), "column 'cka'"),
        (lambda t: t["load"].__setitem__(0, np.nan), "finite load"),
        (lambda t: t.update(cka=np.zeros(3)), "columns of one length"),
    ],
)
def test_unusable_tables_are_named(change, message: str) -> None:
    table = grid()
    change(table)
    with pytest.raises(InputError, match=message):
        landscape.taxonomy(table)


@pytest.mark.parametrize("table", [3, [], "abc", [1, 2], {}])
def test_what_is_no_table_is_refused(table: object) -> None:
    with pytest.raises(InputError, match="table"):
        landscape.taxonomy(table)


def test_store_and_pictures(result: xr.Dataset, tmp_path: Path) -> None:
    """Oracle: what was read back is what was written, and every figure can be drawn from it."""
    landscape.save(result, tmp_path / "t.h5")
    back = landscape.open(tmp_path / "t.h5")
    xr.testing.assert_identical(back.drop_attrs(), result.drop_attrs())
    figures = figures_of(back)
    assert {"phases", "plane", "correlations", "phase_accuracy", "cka"} <= {f.name for f in figures}
    for backend in ("matplotlib", "plotly"):
        landscape.plot(figures[:3], backend=backend)


def test_a_grid_without_a_split_is_undecided_and_drawn() -> None:
    """Oracle: one flat, connected cell cannot be parted into similar and dissimilar ones."""
    table = {name: values[:4].copy() for name, values in grid().items()}
    table["log_top_eigenvalue"] = np.array([1.0, 5.0, 5.0, 5.0])
    table["mode_connectivity"] = np.array([0.0, 0.0, -20.0, -20.0])
    ds = landscape.taxonomy(table, resamples=100)
    assert np.isnan(ds["threshold"].values[2])
    assert sorted(ds["phase"].values.tolist()) == ["", "I", "I", "II"]
    (figure,) = [f for f in figures_of(ds) if f.name == "cka"]
    assert "threshold" not in figure.title
    landscape.plot(list(figures_of(ds)), backend="matplotlib")


def test_accuracies_are_drawn_in_their_unit(result: xr.Dataset) -> None:
    """Oracle: the made-up grid is in percent; a hundredth of it is shares, which have no unit."""
    shares = landscape.taxonomy({**grid(), "test_accuracy": grid()["test_accuracy"] / 100}, resamples=100)
    for ds, unit in ((result, "%"), (shares, "")):
        drawn = {f.name: f for f in figures_of(ds)}
        assert drawn["phases"].marks[0].color.unit == drawn["test_accuracy"].marks[0].color.unit == unit
        assert drawn["phase_accuracy"].y.unit == unit
        assert "mode connectivity −" in drawn["plane"].caption


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published grid is not beside this checkout")
def test_published_grid() -> None:
    """Oracle: the published correlations (Yang et al. 2021), scipy, and that IV-B generalises best."""
    with PUBLISHED.open() as file:
        rows = [{k: float(v) if v else np.nan for k, v in row.items()} for row in csv.DictReader(file)]
    rows = [row for row in rows if row["width"] > 1]
    ds = landscape.taxonomy(rows)
    rho = {str(n): float(v) for n, v in zip(ds["metric"].values, ds["spearman"].values, strict=True)}
    published = {
        "|mode_connectivity|": -0.90,
        "cka": 0.89,
        "log_top_eigenvalue": -0.875,
        "log_trace": -0.87,
    }
    for name, value in published.items():
        assert rho[name] == pytest.approx(value, abs=0.02), name
    eigenvalue, accuracy = (np.array([row[n] for row in rows]) for n in ("top_eigenvalue", "test_accuracy"))
    want = spearmanr(eigenvalue, accuracy, nan_policy="omit").statistic
    assert rho["log_top_eigenvalue"] == pytest.approx(want, abs=1e-12)

    means = dict(zip(ds["kind"].values.tolist(), ds["phase_accuracy"].values.tolist(), strict=True))
    best = ds["kind"].values.tolist().index("IV-B")
    assert max(means, key=means.__getitem__) == "IV-B"
    others = [
        v for k, v in zip(ds["kind"].values, ds["phase_accuracy_high"].values, strict=True) if k != "IV-B"
    ]
    assert ds["phase_accuracy_low"].values[best] > max(others)
    assert (ds["phase_cells"].values > 0).all()
    assert float(ds["phase_stability"].mean()) > 0.9

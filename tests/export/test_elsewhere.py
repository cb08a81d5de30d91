"""A store elsewhere: what other programs read from what was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import landscape
from landscape.errors import InputError
from landscape.export.elsewhere import crate
from landscape.store.contents import read_contents


def results(store):
    return {f"{s.label}/{name}": ds for s in read_contents(store).sections for name, ds in s.results.items()}


def same(tree: xr.DataTree, store: Path) -> None:
    expected = results(store)
    assert {n.path.strip("/") for n in tree.leaves} == set(expected)
    for path, ds in expected.items():
        found = tree[path].to_dataset()
        assert set(found.variables) == set(ds.variables)
        for name in ds.variables:
            np.testing.assert_array_equal(found[name].values, ds[name].values)
        assert {k: str(v) for k, v in found.attrs.items()} == {k: str(v) for k, v in ds.attrs.items()}


@pytest.mark.filterwarnings("ignore")
def test_zarr(store: Path, tmp_path: Path) -> None:
    """Oracle: xarray's reader of zarr, against the files of the store."""
    pytest.importorskip("zarr")
    same(xr.open_datatree(landscape.export_store(store, tmp_path / "all.zarr"), engine="zarr"), store)


@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_netcdf(store: Path, tmp_path: Path) -> None:
    """Oracle: xarray's reader, against the files of the store."""
    same(xr.open_datatree(landscape.export_store(store, tmp_path / "all.nc"), engine="h5netcdf"), store)


def test_tables(store: Path, tmp_path: Path) -> None:
    """Oracle: the table of pandas, whose columns are pairs, read back by pandas."""
    import pandas as pd

    table = landscape.table(store)
    flat = pd.read_csv(landscape.export_store(store, tmp_path / "t.csv"), index_col="model")
    assert list(flat.index) == list(table.index)
    assert flat["spectrum: λ max"].tolist() == pytest.approx(table["spectrum", "λ max"].tolist(), nan_ok=True)
    pytest.importorskip("pyarrow")
    columns = pd.read_parquet(landscape.export_store(store, tmp_path / "t.parquet"))
    assert columns["spectrum: λ max"].tolist() == pytest.approx(flat["spectrum: λ max"].tolist(), nan_ok=True)


def test_a_crate_says_what_there_is_and_what_to_cite(store: Path, tmp_path: Path) -> None:
    """Oracle: RO-Crate 1.1, sections 3 to 5: descriptor, root, and an entity for each file and reference."""
    written = landscape.export_store(store, tmp_path / "ro-crate-metadata.json")
    graph = {entity["@id"]: entity for entity in json.loads(written.read_text())["@graph"]}
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    root = graph["./"]
    assert {"name", "description", "datePublished", "hasPart"} <= set(root)
    parts = {part["@id"] for part in root["hasPart"]}
    assert parts == {p.relative_to(store).as_posix() for p in store.glob("*/*.h5")}
    for entity in graph.values():
        for value in entity.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict) and "://" not in one["@id"]:
                    assert one["@id"] in graph
                assert isinstance(one, str) or set(one) == {"@id"}
    assert "Keskar" in str(graph) or any(e["@type"] == "ScholarlyArticle" for e in graph.values())
    mine = crate(store, authors={"https://orcid.org/0": "A"}, license="https://spdx.org/licenses/CC-BY-4.0")
    root = next(e for e in mine["@graph"] if e["@id"] == "./")
    assert (root["author"], root["license"]["@id"][-9:]) == ([{"@id": "https://orcid.org/0"}], "CC-BY-4.0")


def test_other_endings_are_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must end in one of"):
        landscape.export_store(store, tmp_path / "t.xlsx")

"""A store as a table of pandas."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import landscape
from landscape.store import Store, fast_read
from landscape.store.contents import Contents
from landscape.store.records import Snapshot


def test_table_holds_what_is_known_of_each_model(store: Path, contents: Contents) -> None:
    """Oracle: the values of the fixture; a failed task is missing."""
    frame = landscape.table(store)
    assert list(frame.index) == [m.name for m in contents.models]
    assert frame.loc["vit-s0", ("model", "width")] == 24
    assert frame.loc["resnet-s1", ("spectrum", "λ max")] == pytest.approx(240.0)
    assert frame["fourier"].iloc[3].isna().all()


def test_generalisation_takes_it(store: Path) -> None:
    """Oracle: `landscape.findings`, which reads the store itself and not a data frame."""
    frame = landscape.table(store)
    ds = landscape.generalisation(frame)
    found = landscape.findings(store)
    assert ds["outcome"].item() == "training: test_accuracy"
    assert set(ds["metric"].values) == {f"{section}: {name}" for section, name in found.index}
    for (section, name), row in found.iterrows():
        one = ds.sel(metric=f"{section}: {name}")
        for ours, theirs in (
            ("tau", "tau"),
            ("tau_low", "tau_low"),
            ("tau_high", "tau_high"),
            ("psi", "psi"),
        ):
            np.testing.assert_equal(float(one[ours]), row[theirs])
        np.testing.assert_equal(float(one["worst_error"]), row["worst_error"])
        assert (one["models"].item(), one["worst"].item()) == (row["models"], row["worst"])


def test_a_predictive_says_how_many_members_it_has(contents: Contents, tmp_path: Path) -> None:
    """Oracle: by hand."""
    first, second, *_ = contents.models
    both = replace(first, name="both", members=(first.name, second.name))
    made = Store(tmp_path)
    made.write_snapshot(Snapshot("zoo", (first, second, both), ()))
    members = landscape.table(tmp_path)["model", "members"]
    assert members["both"] == 2 and members.isna().tolist() == [True, True, False]


def test_a_table_is_the_same_without_opening_a_result(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the table of a store without that file; reads are counted, of one changed result one."""
    (store / "metrics.json").unlink(missing_ok=True)
    expected = landscape.table(store)
    read: list[Path] = []
    real = fast_read.read
    monkeypatch.setattr(fast_read, "read", lambda path, *more: read.append(path) or real(path, *more))
    found = landscape.table(store)
    assert found.equals(expected) and list(found.columns) == list(expected.columns)
    assert read == []
    changed = next(store.glob("spectrum/*.h5"))
    os.utime(changed)
    assert landscape.table(store).equals(expected)
    assert read == [changed]
    (store / "metrics.json").write_text("{")
    assert landscape.table(store).equals(expected)


def test_a_result_of_a_model_that_the_zoo_does_not_list_says_its_group(store: Path) -> None:
    """Oracle: the attribute of the result; the second time no summary is made, and it is the same."""
    known = Store(store).read_snapshot()
    assert known is not None
    gone = known.models[0]
    Store(store).write_snapshot(replace(known, models=known.models[1:]))
    for _ in range(2):
        assert landscape.table(store).loc[gone.name, ("model", "group")] == gone.group != ""

"""Summaries kept beside the results: the numbers of the results, and never those of a former file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

import landscape
from landscape.base import summaries
from landscape.base.metric import Metric
from landscape.base.summaries import Summaries, values_of
from landscape.store import Store
from landscape.store.files import stamp_of
from landscape.store.records import parsed


def test_values_are_kept_to_the_bit(tmp_path: Path) -> None:
    """Oracle: the values and their types; a number that is none stays none."""
    file = tmp_path / "line" / "k.h5"
    file.parent.mkdir()
    file.touch()
    given = [
        *(Metric("third", 1 / 3), Metric("single", np.float32(0.1)), Metric("none", float("nan"))),
        *(Metric("far", float("-inf")), Metric("count", np.int64(2**60)), Metric("flag", np.bool_(True))),
        *(Metric("word", "1.0"), Metric("zero", -0.0)),
    ]
    kept = Summaries(Store(tmp_path))
    kept.put("line", "k", stamp_of(file), values_of(given))
    kept.write()
    found = Summaries(Store(tmp_path)).get("line", "k", stamp_of(file))
    assert found is not None and list(found) == [m.name for m in given]
    for metric in given:
        np.testing.assert_array_equal(found[metric.name], metric.value)
        assert isinstance(found[metric.name], bool) == isinstance(metric.value, np.bool_)
    assert str(found["zero"]) == "-0.0" and isinstance(found["word"], str) and isinstance(found["count"], int)


def test_a_later_file_or_other_code_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: by hand: touched, rewritten, gone, and summed up by other code."""
    file = tmp_path / "line" / "k.h5"
    file.parent.mkdir()
    file.write_bytes(b"1")
    kept = Summaries(Store(tmp_path))
    kept.put("line", "k", stamp_of(file), {"a": 1.0})
    kept.put("line", "gone", (0, 0, 0), {"a": 1.0})
    kept.write()
    assert list(parsed((tmp_path / "metrics.json").read_text("utf-8")).popitem()[1]) == ["line/k"]
    before = stamp_of(file)
    os.utime(file, ns=(1, 1))
    assert Summaries(Store(tmp_path)).get("line", "k", stamp_of(file)) is None
    assert Summaries(Store(tmp_path)).get("line", "k", before) == {"a": 1.0}
    monkeypatch.setattr(summaries, "code_here", lambda: "other")
    assert Summaries(Store(tmp_path)).get("line", "k", before) is None


@pytest.mark.parametrize("text", ["", "[1]", '{"x": {"line/k": [1, 2, {"a": []}]}}', "\0"])
def test_a_damaged_file_counts_as_none(tmp_path: Path, text: str) -> None:
    """Oracle: nothing is known."""
    (tmp_path / "metrics.json").write_text(text)
    assert Summaries(Store(tmp_path)).get("line", "k", (1, 2, 3)) is None


@pytest.mark.parametrize("clock", ["changed", "brought along"])
def test_code_that_changed_under_a_process_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """What runs is not what is on disk: numbers of the former would pass for those of the latter.

    Oracle: nothing is written; a package whose files are older than the process has its digest written.
    """
    (tmp_path / "code").mkdir()
    source = tmp_path / "code" / "__init__.py"
    source.write_text("one = 1")
    (tmp_path / "line").mkdir()
    (tmp_path / "line" / "k.h5").touch()
    monkeypatch.setattr(landscape, "__file__", str(source))
    stamp = stamp_of(tmp_path / "line" / "k.h5")

    def keep(imported_ns: int) -> list[str]:
        monkeypatch.setattr(landscape, "_IMPORTED_NS", imported_ns)
        summaries.code_here.cache_clear()
        kept = Summaries(Store(tmp_path))
        kept.put("line", "k", stamp, {"a": 1.0})
        kept.write()
        file = tmp_path / "metrics.json"
        return list(parsed(file.read_text("utf-8"))) if file.exists() else []

    try:
        before = source.stat().st_mtime_ns - 1
        if clock == "brought along":
            os.utime(source, ns=(1, 1))
        assert keep(before) == []
        first = keep(time.time_ns() + 10**9)
        assert len(first) == 1 and len(first[0]) == 32
        source.write_text("one = 2")
        assert keep(before) == first  # as it was
        source.unlink()
        assert keep(time.time_ns() + 10**9) == first
    finally:
        summaries.code_here.cache_clear()


def test_a_result_put_in_place_within_a_tick_of_the_clock_is_read_anew(tmp_path: Path) -> None:
    """Oracle: by hand: another file of the same size, name and time, as slow clocks have it."""
    file = tmp_path / "line" / "k.h5"
    file.parent.mkdir()
    file.write_bytes(b"1")
    kept = Summaries(Store(tmp_path))
    before = stamp_of(file)
    kept.put("line", "k", before, {"a": 1.0})
    later = file.with_suffix(".tmp")
    later.write_bytes(b"2")
    later.replace(file)
    os.utime(file, ns=(before[1], before[1]))
    assert stamp_of(file)[:2] == before[:2]
    assert kept.get("line", "k", stamp_of(file)) is None

"""All of a difference: words, tables, figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from landscape.errors import StoreError
from landscape.reporting.diff import diff, difference_of


def test_the_words_are_those_of_the_numbers(two_groups):
    """Oracle: counts by hand of the rows with an interval; lesions 0.4 and 0.7, each ± 2 × 0.02."""
    found = difference_of(two_groups, "plain-s0", "smooth-s0")
    said = " ".join(found.sentences())
    assert "Of 4 numbers with an interval, 2 differ:" in said
    assert "Clearest: lesion: largest Δ loss 0.4 → 0.7 (+0.3, 95 % interval +0.2434 to +0.3566); " in said
    assert "density: tr (SLQ) 10 → 16 (+6, 95 % interval +4.614 to +7.386)" in said
    assert "Layers that changed most: block.0, head" in said
    assert "disagree on 3 of 8 examples (calibration): 1 where plain-s0 is right, 2 where smooth-s0" in said
    assert "Difference of plain-s0 and smooth-s0" in repr(found)
    assert found.layers[0].alike.value == 0.9


def test_of_groups_the_intervals_are_over_models(two_groups):
    """Oracle: two models on each side; one against two tells no interval."""
    said = " ".join(difference_of(two_groups, "plain", "smooth").sentences())
    assert "Intervals are over models (2 models and 2 models)" in said
    said = " ".join(difference_of(two_groups, "plain-s0", "smooth").sentences())
    assert "No difference has an interval: of 1 model and 2 models" in said


def test_a_frame_has_a_row_for_each_change(two_groups):
    """Oracle: the first row is the clearest, and its ends are those of the change."""
    found = difference_of(two_groups, "plain-s0", "smooth-s0")
    frame = found.frame()
    assert len(frame) == len(found.changes)
    assert frame.iloc[0][["section", "metric", "difference", "interval"]].tolist() == [
        "lesion",
        "largest Δ loss",
        pytest.approx(0.3),
        "errors",
    ]


def test_only_both_sides_are_kept(two_groups):
    """Oracle: names of the fixture; without results of examples the words say how to get them."""
    found = difference_of(two_groups, "plain-s0", "smooth-s0")
    assert {m.name for m in found.contents.models} == {"plain-s0", "smooth-s0"}
    assert all(set(s.results) == {"plain-s0", "smooth-s0"} for s in found.contents.sections)
    bare = replace(two_groups, sections=[s for s in two_groups.sections if s.label == "surface"])
    said = " ".join(difference_of(bare, "plain-s0", "smooth-s0").sentences())
    assert "[analyses.calibration]" in said and "no layer of one name" in said


def test_a_store_that_is_not_there(tmp_path):
    """Oracle: the sentence of the store."""
    with pytest.raises(StoreError, match="there is no store"):
        diff(tmp_path / "gone", "a", "b")

"""A store as a table of pandas."""

from __future__ import annotations

from pathlib import Path

import pytest

import landscape
from landscape.store.contents import Contents


def test_table_holds_what_is_known_of_each_model(store: Path, contents: Contents) -> None:
    """Oracle: the values of the fixture; a failed task is missing."""
    frame = landscape.table(store)
    assert list(frame.index) == [m.name for m in contents.models]
    assert frame.loc["vit-s0", ("model", "width")] == 24
    assert frame.loc["resnet-s1", ("spectrum", "λ max")] == pytest.approx(240.0)
    assert frame["fourier"].iloc[3].isna().all()

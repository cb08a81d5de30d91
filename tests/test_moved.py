"""Old import paths: names that are called otherwise today are found under their old name."""

from __future__ import annotations

import importlib

import pytest

from landscape._moved import MOVED, RENAMED


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_name_is_found_with_a_warning(old):
    """Oracle: the definition itself, by its new name in one of the modules that took over."""
    module, _, name = old.rpartition(".")
    homes = [importlib.import_module(f"landscape.{home}") for home in MOVED[module].split()]
    today = next(vars(home)[RENAMED[old]] for home in homes if RENAMED[old] in vars(home))
    with pytest.warns(DeprecationWarning, match=RENAMED[old]):
        found = getattr(importlib.import_module(f"landscape.{module}"), name)
    assert found is today

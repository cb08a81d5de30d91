"""Old import paths: names that are called otherwise today are found under their old name."""

from __future__ import annotations

import importlib

import pytest

from landscape._moved import MOVED, RENAMED


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_name_is_found_with_a_warning(old):
    """Oracle: the definition itself, by its new name in one of the modules that took over."""
    module, _, name = old.rpartition(".")
    place, _, today = RENAMED[old].rpartition(".")
    places = [place] if place else MOVED.get(module, module).split()
    homes = [vars(importlib.import_module(f"landscape.{each}")) for each in places]
    definition = next(home[today] for home in homes if today in home)
    with pytest.warns(DeprecationWarning, match=today):
        found = getattr(importlib.import_module(f"landscape.{module}"), name)
    assert found is definition

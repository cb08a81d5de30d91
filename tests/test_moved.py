"""Old import paths: names that are called otherwise today are found under their old name."""

from __future__ import annotations

import importlib

import pytest

from landscape._moved import MOVED, RENAMED


def _asked(module):
    """The module that is asked for an old name: a former one, or one of today that knows its old names."""
    if module in MOVED or "__getattr__" in vars(importlib.import_module(f"landscape.{module}")):
        return module
    return next(old for old, homes in MOVED.items() if module in homes.split())


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_name_is_found_with_a_warning(old):
    """Oracle: the definition itself, by its new name in one of the modules that took over."""
    module, _, name = old.rpartition(".")
    place, _, today = RENAMED[old].rpartition(".")
    places = [place] if place else MOVED.get(module, module).split()
    homes = [vars(importlib.import_module(f"landscape.{each}")) for each in places]
    definition = next(home[today] for home in homes if today in home)
    with pytest.warns(DeprecationWarning, match=today):
        found = getattr(importlib.import_module(f"landscape.{_asked(module)}"), name)
    assert found is definition

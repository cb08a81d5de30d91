"""Old import paths: names that are called otherwise today are found under their old name."""

from __future__ import annotations

import importlib
import warnings

import pytest

from landscape._moved import MOVED, RENAMED

NAMES = [(module, old, new) for module, names in RENAMED.items() for old, new in names.items()]


@pytest.mark.parametrize(("module", "old", "new"), NAMES, ids=[f"{m}.{old}" for m, old, _ in NAMES])
def test_a_renamed_name_is_found_with_a_warning(module, old, new):
    """Oracle: the definition itself, by its new name in one of the modules that took over."""
    homes = [vars(importlib.import_module(f"landscape.{home}")) for home in MOVED.get(module, module).split()]
    definition = next(home[new] for home in homes if new in home)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        former = importlib.import_module(f"landscape.{module}")  # packages above it may have moved too
    with pytest.warns(DeprecationWarning, match=new):
        found = getattr(former, old)
    assert found is definition

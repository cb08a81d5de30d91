"""Old import paths: each leads to what it led to, with a warning; names that are functions stay functions."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import landscape
from landscape._moved import _FUNCTIONS, MOVED, RENAMED

OLD_NAMES = json.loads(Path(__file__).with_name("old_names.json").read_text("utf-8"))
"""Public names of each public module before modules moved into rooms, as its text had them."""

REMOVED = {  # announced in CHANGELOG.md
    "landscape.commands.add_analyses",
    "landscape.core.matching.accumulate",
    "landscape.core.smoothing.wasserstein",
    "landscape.tables.TABLES",
    "landscape.tables.TableAnalysis",
    "landscape.tables.base.TableAnalysis",
}

NAMES = [(module, old, new) for module, names in RENAMED.items() for old, new in names.items()]


def names_of(module):
    """What a module holds for others."""
    return getattr(module, "__all__", [n for n in vars(module) if not n.startswith("_")])


@pytest.mark.parametrize("old", sorted(MOVED))
def test_every_old_path_is_imported_with_a_warning_and_has_its_names(old):
    """Oracle: the objects at the new places, imported from there."""
    full = f"landscape.{old}"
    homes = [importlib.import_module(f"landscape.{home}") for home in MOVED[old].split()]
    if old in _FUNCTIONS:
        sys.modules.pop(full, None)
        with pytest.warns(DeprecationWarning, match=f"{full} is now {homes[0].__name__}"):
            assert importlib.import_module(full) is getattr(homes[0], old.rpartition(".")[2])
        return
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        module = importlib.import_module(full)  # the package above it may have moved too, and says so
    for home in homes:
        names = [n for n in (*names_of(home), *vars(home)) if n[0] != "_" and n not in vars(module)]
        if not names:  # a module that is there still holds them itself
            continue
        first = next(other for other in homes if names[0] in vars(other))
        with pytest.warns(DeprecationWarning, match=f"{full}.{names[0]} is now {first.__name__}"):
            assert getattr(module, names[0]) is getattr(first, names[0])


@pytest.mark.parametrize("module", sorted(OLD_NAMES))
@pytest.mark.filterwarnings("ignore:.* the old path goes with the next release:DeprecationWarning")
def test_no_name_of_before_is_lost_unannounced(module):
    """Oracle: the names in the texts of the modules as they were, frozen in a file."""
    held = importlib.import_module(module)
    lost = {f"{module}.{name}" for name in OLD_NAMES[module] if not hasattr(held, name)}
    assert lost == {name for name in REMOVED if name.rpartition(".")[0] == module}


def test_removed_names_are_announced():
    """Oracle: the changelog's text."""
    told = Path(__file__).parents[1].joinpath("CHANGELOG.md").read_text("utf-8")
    assert [name for name in REMOVED if name.rpartition(".")[2] not in told] == []


@pytest.mark.parametrize(
    ("module", "old"), [(module, old) for module, names in sorted(RENAMED.items()) for old in names]
)
def test_a_renamed_name_is_found_with_a_warning(module, old):
    """Oracle: the definition itself, by its new name in one of the modules that took over."""
    homes = [importlib.import_module(f"landscape.{home}") for home in MOVED.get(module, module).split()]
    new = RENAMED[module][old]
    definition = next(vars(home)[new] for home in homes if new in vars(home))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the old package itself warns too, of whichever test imports it first
        held = importlib.import_module(f"landscape.{module}")
    with pytest.warns(DeprecationWarning, match=f"landscape.{module}.{old} is now .*{new}"):
        assert getattr(held, old) is definition


def test_names_are_functions_after_old_paths_were_imported():
    """Oracle: a fresh interpreter, in which the old paths come first."""
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from landscape.plot.palette import Palette\nfrom landscape.report.views import page_of\n"
        "import landscape, landscape.plotting, landscape.reporting\n"
        "assert landscape.plot is landscape.plotting.plot\n"
        "assert landscape.report is landscape.reporting.report\n"
        "assert Palette is landscape.plotting.Palette and page_of is landscape.reporting.page_of\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_warning_names_the_new_place_and_the_line_that_imports():
    """Oracle: the file of this test."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from landscape.core.lanczos import lanczos  # noqa: F401
    (warning,) = {str(w.message): w for w in caught}.values()
    assert "landscape.core.lanczos.lanczos is now landscape.core.linalg.eigenpairs.lanczos" in str(
        warning.message
    )
    assert warning.filename == __file__


def test_what_never_was_is_missing():
    """Oracle: Python's own errors."""
    with pytest.raises(ModuleNotFoundError, match=r"landscape\.core\.nonsense"):
        importlib.import_module("landscape.core.nonsense")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = importlib.import_module("landscape.core.lanczos").nonsense
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = landscape.nonsense

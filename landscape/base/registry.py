"""The registry: every `Analysis` in a module of `landscape.analyses` or behind an entry point.

A third party adds an analysis with an entry point of group ``landscape.analyses`` that names an
`Analysis` object. A plug-in that cannot be loaded is reported as a warning and left out.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from functools import cache
from importlib.metadata import entry_points

from landscape.base.analysis import Analysis
from landscape.errors import InputError, suggest
from landscape.imports import resolve

__all__ = ["discover", "find"]


@cache
def discover() -> dict[str, Analysis]:
    """All analyses by name, ours first."""
    found: dict[str, Analysis] = {}
    home = importlib.import_module("landscape.analyses")  # by name: base knows no analysis
    for info in pkgutil.walk_packages(home.__path__, prefix="landscape.analyses."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, Analysis) and type(value) is Analysis:
                found[value.name] = value
    for point in entry_points(group="landscape.analyses"):
        try:
            plugin = point.load()
        except Exception as error:  # a broken plug-in must not take the others down
            warnings.warn(f"analysis plug-in '{point.value}' left out: {error}", stacklevel=2)
            continue
        if not isinstance(plugin, Analysis):
            warnings.warn(f"analysis plug-in '{point.value}' left out: not an Analysis.", stacklevel=2)
        elif plugin.name in found:
            warnings.warn(f"analysis plug-in '{point.value}' left out: its name is taken.", stacklevel=2)
        else:
            found[plugin.name] = plugin
    return dict(sorted(found.items()))


def find(name: str) -> Analysis:
    """The analysis of that name, or the one at ``package.module:attribute``.

    Raises:
        InputError: If there is none, with the nearest name.
    """
    if ":" in name:
        plugin = resolve(name, "analysis")
        if not isinstance(plugin, Analysis):
            raise InputError(f"'{name}' is a {type(plugin).__name__}, not a landscape Analysis.")
        return plugin
    TABLES: dict[str, Analysis] = importlib.import_module("landscape.analyses.taxonomy").TABLES

    if name in TABLES:
        return TABLES[name]
    known = discover()
    if name not in known:
        raise InputError(f"there is no analysis '{name}'; {suggest(name, {**known, **TABLES})}")
    return known[name]

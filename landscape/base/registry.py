"""The registry: every `Analysis` in a family of `landscape.analyses` or behind an entry point.

A third party adds an analysis with an entry point of group ``landscape.analyses`` that names an
`Analysis` object. A plug-in that cannot be loaded is reported as a warning and left out.

`discover` and `listed` tell what there is; `find` takes the words of a user, `find_recorded` those of a file.
There is no other way in.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from landscape.errors import InputError, suggest
from landscape.imports import resolve

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis, Scope

__all__ = ["Entry", "declared", "discover", "find", "find_recorded", "listed", "named"]

_HOME = "landscape.analyses"  # a name and no import: base knows no analysis


class Entry(NamedTuple):
    """What a list says of an analysis.

    Attributes:
        title: Its heading.
        scope: What it looks at.
        module: Where it is declared; ``""`` for a plug-in.
    """

    title: str
    scope: Scope
    module: str


@cache
def discover() -> dict[str, Analysis]:
    """All analyses by name; a plug-in cannot take the name of one of ours."""
    found = {analysis.name: analysis for _, analysis in declared()}
    return dict(sorted((found | _plugins(found)).items()))


@cache
def listed() -> dict[str, Entry]:
    """All analyses by name, as `discover` finds them, but ours are read from ``index.json``, not imported."""
    found = _indexed()
    plugins = {n: Entry(a.title, a.scope, "") for n, a in _plugins(found).items()}
    return dict(sorted((found | plugins).items()))


def declared() -> Iterator[tuple[str, Analysis]]:
    """Each analysis of our own once, after the first public module that holds it; imports them all.

    Raises:
        InputError: If two have one name, or one is not the attribute of its name, where `find` looks.
    """
    seen: dict[str, Analysis] = {}
    misnamed: list[str] = []
    home = importlib.import_module(_HOME)
    for info in pkgutil.walk_packages(home.__path__, prefix=f"{_HOME}."):
        if any(part.startswith("_") for part in info.name.split(".")):
            continue
        held = dict(vars(importlib.import_module(info.name)))
        for attribute, value in held.items():
            if not _is_analysis(value):
                continue
            if value.name not in seen:
                if held.get(value.name) is not value:
                    misnamed.append(f"analysis '{value.name}' is the attribute '{attribute}' of {info.name}")
                seen[value.name] = value
                yield info.name, value
            elif seen[value.name] is not value:
                raise InputError(f"two analyses are named '{value.name}'; one of them is in {info.name}.")
    if misnamed:  # after the walk: that two have one name is the better reason
        raise InputError(f"{misnamed[0]}; give both one name.")


def find(name: str) -> Analysis:
    """The analysis of that name, or the one at ``package.module:attribute``.

    For what a user says: on the command line, in a manifest, in a call. What a file says goes to
    `find_recorded`.

    Raises:
        InputError: If there is none, with the nearest name.
    """
    if ":" in name:
        plugin = resolve(name, "analysis")
        if not _is_analysis(plugin):
            raise InputError(f"'{name}' is a {type(plugin).__name__}, not a landscape Analysis.")
        return plugin
    entry = _indexed().get(name)
    if entry is not None:  # the others need not be imported
        return getattr(importlib.import_module(entry.module), name)  # type: ignore[no-any-return]
    known = discover()
    if name not in known:
        raise InputError(f"there is no analysis '{name}'; {suggest(name, known)}")
    return known[name]


def find_recorded(name: str, given: Mapping[str, Analysis] | None = None) -> Analysis:
    """The analysis that a file names: a result, or the records of a store.

    A file is data, which may come from anyone: naming a module in it must not import that module. So an
    analysis of someone's own (``package.module:attribute``) is found only if this process has imported it
    already, or the user gave it.

    Args:
        name: What the file says.
        given: Analyses that the user gave, see `named`; they come first.

    Raises:
        InputError: If it is not installed here.

    Example:
        >>> find_recorded("spectrum").scope
        'checkpoint'
    """
    if given and name in given:
        return given[name]
    if name in _indexed() or name in discover():
        return find(name)
    module, _, attribute = name.partition(":")
    loaded = getattr(sys.modules.get(module), "__dict__", {})  # no `getattr`: a module may import on demand
    if _is_analysis(loaded.get(attribute)):
        return loaded[attribute]  # type: ignore[no-any-return]
    hint = suggest(name, discover())
    if hint.startswith("did you mean"):
        raise InputError(f"analysis '{name}' is not installed here; {hint}")
    raise InputError(
        f"analysis '{name}' is not installed here, and a file alone cannot have it imported: install the"
        " package that provides it, or name it yourself."
    )


def named(analyses: Iterable[Analysis | str]) -> dict[str, Analysis]:
    """Analyses that a user gave, by their names and by the words of the user.

    Raises:
        InputError: If one cannot be found.
    """
    found: dict[str, Analysis] = {}
    for given in analyses:
        analysis = find(given) if isinstance(given, str) else given
        found[analysis.name] = analysis
        if isinstance(given, str):
            found[given] = analysis
    return found


@cache
def _indexed() -> dict[str, Entry]:
    home = importlib.import_module(_HOME)
    text = Path(home.__path__[0], "index.json").read_text("utf-8")
    return {name: Entry(**facts) for name, facts in json.loads(text).items()}


def _plugins(taken: Mapping[str, object]) -> dict[str, Analysis]:
    """Analyses behind entry points, but for those whose names are taken."""
    found: dict[str, Analysis] = {}
    for point in entry_points(group=_HOME):
        try:
            plugin = point.load()
        except Exception as error:  # a broken plug-in must not take the others down
            warnings.warn(f"analysis plug-in '{point.value}' left out: {error}", stacklevel=3)
            continue
        if not _is_analysis(plugin):
            warnings.warn(f"analysis plug-in '{point.value}' left out: not an Analysis.", stacklevel=3)
        elif plugin.name in taken or plugin.name in found:
            warnings.warn(f"analysis plug-in '{point.value}' left out: its name is taken.", stacklevel=3)
        else:
            found[plugin.name] = plugin
    return found


def _is_analysis(value: Any) -> TypeGuard[Analysis]:
    from landscape.base.analysis import Analysis  # here, so that a list needs no pydantic

    return isinstance(value, Analysis)

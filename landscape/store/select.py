"""Selection: some of the models of a store, by patterns of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from landscape._moved import old_names
from landscape.errors import InputError, suggest
from landscape.store.contents import Contents, Section

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["matches", "only", "results_of"]

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is like one of the patterns; without patterns, every name is."""
    return not patterns or any(fnmatchcase(name, p) for p in patterns)


def only(contents: Contents, patterns: Sequence[str]) -> Contents:
    """The contents with the models, and the results and failures of subjects, that are like the patterns.

    Raises:
        InputError: If nothing is left.
    """
    if not patterns:
        return contents
    sections = [
        replace(s, results={n: ds for n, ds in s.results.items() if matches(n, patterns)})
        for s in contents.sections
    ]
    if not any(s.results for s in sections):
        raise InputError(f"no result is of a model like {' or '.join(patterns)}.")
    return replace(
        contents,
        models=[m for m in contents.models if matches(m.name, patterns)],
        sections=sections,
        failures=[f for f in contents.failures if matches(f.model, patterns)],
    )


def results_of(
    contents: Contents, analysis: str, patterns: Sequence[str]
) -> tuple[Section, dict[str, xr.Dataset]]:
    """The section of an analysis, by label or else by name, and its results of models like the patterns.

    Raises:
        InputError: If there is no such section or result.
    """
    labelled = [s for s in contents.sections if s.label == analysis]
    section = next(iter([*labelled, *(s for s in contents.sections if s.analysis == analysis)]), None)
    if section is None:
        hint = suggest(analysis, (s.label for s in contents.sections))
        raise InputError(f"the store has no analysis '{analysis}'; {hint}")
    results = {n: ds for n, ds in section.results.items() if matches(n, patterns)}
    if not results:
        chosen = f" of models like {' or '.join(patterns)}" if patterns else ""
        raise InputError(f"'{section.label}' has no results{chosen} in the store.")
    return section, results

"""Choice: some of the models of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from landscape.errors import InputError
from landscape.store.contents import Contents

__all__ = ["only", "wanted"]


def wanted(name: str, patterns: Sequence[str]) -> bool:
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
        replace(s, results={n: ds for n, ds in s.results.items() if wanted(n, patterns)})
        for s in contents.sections
    ]
    if not any(s.results for s in sections):
        raise InputError(f"no result is of a model like {' or '.join(patterns)}.")
    return replace(
        contents,
        models=[m for m in contents.models if wanted(m.name, patterns)],
        sections=sections,
        failures=[f for f in contents.failures if wanted(f.model, patterns)],
    )

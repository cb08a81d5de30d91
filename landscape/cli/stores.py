"""What the command line says of a whole store: its analyses, their results and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from landscape.errors import LandscapeError

__all__ = ["complete_label", "complete_model", "list_figures", "list_store"]

_SHOWN = 8


def complete_model(ctx: Any, incomplete: str) -> list[str]:
    """For a shell: the models and groups of the store on the line that begin so."""
    zoo = _snapshot(ctx)
    names = [] if zoo is None else [*(m.name for m in zoo.models), *(m.group for m in zoo.models if m.group)]
    return [n for n in dict.fromkeys(names) if n.startswith(incomplete)]


def complete_label(ctx: Any, incomplete: str) -> list[str]:
    """For a shell: the analyses of the store on the line, by label."""
    zoo = _snapshot(ctx)
    return [] if zoo is None else [s.label for s in zoo.sections if s.label.startswith(incomplete)]


def _snapshot(ctx: Any) -> Any:
    """What the store on the line says of itself; ``None`` where there is none: a shell shows no errors."""
    from landscape.store import Store

    # After a flag that still lacks its value arguments are left unread.
    store = (ctx.params or {}).get("store") or next(iter(ctx.args), None)
    try:
        return None if store is None else Store(Path(store)).read_snapshot()
    except (LandscapeError, OSError):
        return None


def list_store(store: Path) -> Iterator[str]:
    """A line for each analysis of a store, with its subjects, and one for each failure."""
    from landscape.store.contents import read_contents

    contents = read_contents(store)
    yield f"store of '{contents.name}': {len(contents.models)} models"
    for section in contents.sections:
        named = "" if section.analysis == section.label else f" ({section.analysis})"
        names = ", ".join(list(section.results)[:_SHOWN]) or "no result yet"
        more = f" and {len(section.results) - _SHOWN} more" if len(section.results) > _SHOWN else ""
        yield f"{section.label}{named}: {names}{more}"
    for failure in contents.failures:
        yield f"{failure.label} of {failure.model} failed: {failure.error}"
    if contents.missing:
        yield f"{contents.missing} tasks are not done yet: run again"
    yield (
        f"one of them: landscape show {store / 'zoo.h5'} --group ANALYSIS/MODEL, or in Python"
        f' landscape.open("{store}", "ANALYSIS/MODEL")'
    )


def list_figures(store: Path, analysis: str | None, models: Sequence[str], by: str | None) -> Iterator[str]:
    """A line for each figure of an analysis, or of all of a store, by the name that chooses it.

    Of all of a store those of single models that are alike have one line, which says how many they are.
    """
    from landscape.export.figures import figures_of_store
    from landscape.plotting.choice import figure_names
    from landscape.reporting.choices import owners
    from landscape.store.contents import read_contents

    contents = read_contents(store)
    labels = [analysis] if analysis is not None else [s.label for s in contents.sections if s.results]
    for label in labels:
        try:
            specs, _ = figures_of_store(store, label, models=models, by=by)
        except LandscapeError as error:
            if analysis is not None:
                raise
            yield f"{label}: {error}"
            continue
        if analysis is not None:
            specs = [one for spec in specs for one in (spec, *spec.others)]
        subjects = [n for s in contents.sections if label in (s.label, s.analysis) for n in s.results]
        names = figure_names(specs, subjects)
        if analysis is not None:
            yield from (f"{name}: {spec.title}" for name, spec in zip(names, specs, strict=True))
            continue
        alike: dict[str, list[str]] = {}
        for name, spec, owner in zip(names, specs, owners(specs, subjects), strict=True):
            kind = spec.title.removesuffix(owner) if owner else f"{name} {spec.title}"
            alike.setdefault(kind, []).append(f"{label} {name}: {spec.title}")
        for first, *others in alike.values():
            yield first + (f", and {len(others)} more like it" if others else "")

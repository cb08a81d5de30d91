"""Views: what the page shows, worked out from the contents of a store before any HTML is written."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from landscape.figure import FigureSpec, Series
from landscape.plot import find_backend
from landscape.plot.palette import Palette
from landscape.report.notices import Notice, notices
from landscape.report.provenance import Provenance, listed, provenance
from landscape.report.tables import Cell, Column, Row, Table, cell, data_table

if TYPE_CHECKING:
    import xarray as xr

    from landscape.registry import Analysis, Metric
    from landscape.store.contents import Contents, Failure, Section

__all__ = ["FigureView", "Page", "SectionView", "page_of"]


@dataclass(frozen=True)
class FigureView:
    """One figure: its texts, its plotly JSON, the height to keep free for it, and its data."""

    anchor: str
    spec: FigureSpec
    json: str
    height: int
    data: Table


@dataclass(frozen=True)
class SectionView:
    """One section of the page.

    Attributes:
        anchor: Its id.
        label: Its name in the zoo.
        title: Its heading.
        description: Paragraphs about what is measured and how.
        options: The options of the analysis, on one line.
        problems: Sentences about what cannot be shown, and why.
        figures: Its figures, models compared on shared axes.
        numbers: The summary of every result, if there is one.
        provenance: Where its results come from.
        results: How many results it has.
    """

    anchor: str
    label: str
    title: str
    description: tuple[str, ...]
    options: str
    problems: tuple[str, ...]
    figures: tuple[FigureView, ...]
    numbers: Table | None
    provenance: Provenance
    results: int


@dataclass(frozen=True)
class Page:
    """The whole report."""

    name: str
    version: str
    created: str
    notices: tuple[Notice, ...]
    models: Table
    sections: tuple[SectionView, ...]
    failures: tuple[Failure, ...]
    results: int


def page_of(contents: Contents, analyses: Iterable[Analysis | str] = ()) -> Page:
    """Work out the page.

    Args:
        contents: The store.
        analyses: Analyses beside the installed ones, as objects or ``package.module:attribute``.

    Raises:
        InputError: If one of ``analyses`` cannot be loaded.
    """
    from landscape import __version__

    trusted = _trusted(analyses)
    anchors = _anchors([s.label for s in contents.sections])
    palette = _palette(contents)
    known = [_find(s.analysis, trusted) for s in contents.sections]
    sections = [
        _section(section, analysis, anchors[section.label], palette)
        for section, analysis in zip(contents.sections, known, strict=True)
    ]
    created = [str(ds.attrs.get("created", "")) for s in contents.sections for ds in s.results.values()]
    return Page(
        name=contents.name,
        version=__version__,
        created=max(created, default="").replace("T", " ").replace("+00:00", " UTC"),
        notices=tuple(notices(contents, anchors, {s.label: s.problems for s in sections})),
        models=_models(contents, known, anchors, palette),
        sections=tuple(sections),
        failures=tuple(contents.failures),
        results=len(created),
    )


def _trusted(analyses: Iterable[Analysis | str]) -> dict[str, Analysis]:
    from landscape.analyses import discover, find

    found = dict(discover())
    for given in analyses:
        analysis = find(given) if isinstance(given, str) else given
        found[analysis.name] = analysis
        if isinstance(given, str):
            found[given] = analysis
    return found


def _find(name: str, trusted: Mapping[str, Analysis]) -> Analysis | None:
    """The analysis of a section. A store is data: naming a module in it must not import that module."""
    if name in trusted:
        return trusted[name]
    module, _, attribute = name.partition(":")
    if attribute and module in sys.modules:
        from landscape.registry import Analysis

        found = getattr(importlib.import_module(module), attribute, None)
        return found if isinstance(found, Analysis) else None
    return None


def _anchors(labels: Sequence[str]) -> dict[str, str]:
    """An id for each label: plain characters, each only once."""
    taken: dict[str, str] = {}
    for label in labels:
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in label).strip("-").lower()
        anchor = base = f"s-{plain}" if plain else "s"
        n = 2
        while anchor in taken.values():
            anchor, n = f"{base}-{n}", n + 1
        taken[label] = anchor
    return taken


def _palette(contents: Contents) -> Palette:
    """One look per model over the whole page, then one for each pair or group that is a result."""
    groups = {m.name: m.group for m in contents.models}
    for section in contents.sections:
        for subject, ds in section.results.items():
            groups.setdefault(subject, str(ds.attrs.get("group", "")))
    return Palette(groups)


def _section(section: Section, analysis: Analysis | None, anchor: str, palette: Palette) -> SectionView:
    results = section.results
    problems: list[str] = []
    figures: list[FigureView] = []
    numbers: Table | None = None
    if analysis is None:
        problems.append(
            f"The analysis '{section.analysis}' is not installed here, so its results are listed but not"
            " drawn: install the package that provides it, or name it to landscape.report(..., analyses=)."
        )
    elif results:
        figures, trouble = _figures(analysis, results, anchor, palette)
        problems += trouble
        numbers = _numbers(analysis, results, palette)
    title = analysis.title if analysis is not None else section.analysis
    return SectionView(
        anchor=anchor,
        label=section.label,
        title=title if section.label in (title, section.analysis) else f"{title}: {section.label}",
        description=_paragraphs(analysis.description) if analysis is not None else (),
        options=listed(section.parameters) if section.parameters else "",
        problems=tuple(problems),
        figures=tuple(figures),
        numbers=numbers,
        provenance=provenance(results),
        results=len(results),
    )


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(p.split()) for p in text.split("\n\n") if p.strip())


def _figures(
    analysis: Analysis, results: Mapping[str, xr.Dataset], anchor: str, palette: Palette
) -> tuple[list[FigureView], list[str]]:
    """The figures; an analysis that fails to draw must not take the report down."""
    try:
        specs = analysis.plots(results)
        return [_figure(spec, f"{anchor}-{i}", palette) for i, spec in enumerate(specs)], []
    except Exception as error:
        return [], [f"The figures could not be made: {type(error).__name__}: {error}."]


def _figure(spec: FigureSpec, anchor: str, palette: Palette) -> FigureView:
    """A figure without its title, which the page sets as a heading."""
    drawn = find_backend("plotly").draw(replace(spec, title=""), palette)
    return FigureView(anchor, spec, drawn.to_json(), int(drawn.layout.height), data_table(spec))


def _summary(analysis: Analysis, ds: xr.Dataset) -> list[Metric]:
    try:
        return list(analysis.summary(ds))
    except Exception:  # a result of an older version may lack what the summary reads
        return []


def _columns(summaries: Iterable[Sequence[Metric]], family: str = "", anchor: str = "") -> list[Column]:
    """A column for each metric that any result has, in order of appearance."""
    found: dict[str, Column] = {}
    for metrics in summaries:
        for m in metrics:
            found.setdefault(m.name, Column(m.name, m.unit, m.meaning, family, anchor))
    return list(found.values())


def _cells(columns: Sequence[Column], metrics: Sequence[Metric]) -> list[Cell]:
    values = {m.name: m.value for m in metrics}
    return [cell(values.get(c.label)) for c in columns]


def _numbers(analysis: Analysis, results: Mapping[str, xr.Dataset], palette: Palette) -> Table | None:
    summaries = {subject: _summary(analysis, ds) for subject, ds in results.items()}
    columns = _columns(summaries.values())
    if not columns:
        return None
    rows = tuple(
        Row(subject, tuple(_cells(columns, metrics)), _color(palette, subject, results[subject]))
        for subject, metrics in summaries.items()
    )
    head = {"checkpoint": "model", "pair": "pair", "group": "group"}[analysis.scope]
    return Table("Summary of every result.", head, tuple(columns), rows)


def _color(palette: Palette, subject: str, ds: xr.Dataset) -> str:
    return palette.style(Series(subject, str(ds.attrs.get("group", "")))).color


def _models(
    contents: Contents, known: Sequence[Analysis | None], anchors: Mapping[str, str], palette: Palette
) -> Table:
    """All models: who they are, how they were trained, and what each analysis says of them."""
    names = {m.name: m for m in contents.models}
    tags = dict.fromkeys(t for m in contents.models for t in m.tags)
    metrics = dict.fromkeys(k for m in contents.models for k in m.metrics)
    columns = [Column("group"), Column("seed", meaning="training seed")]
    columns += [Column(t, family="tags") for t in tags]
    columns += [Column(k.replace("_", " "), family="training") for k in metrics]
    cells: dict[str, list[Cell]] = {}
    for m in contents.models:
        cells[m.name] = [cell(m.group), cell(m.seed)]
        cells[m.name] += [cell(m.tags.get(t)) for t in tags]
        cells[m.name] += [cell(m.metrics.get(k)) for k in metrics]
    for section, analysis in zip(contents.sections, known, strict=True):
        if analysis is None or analysis.scope != "checkpoint":
            continue
        for subject, ds in section.results.items():
            if subject not in cells:
                group = cell(str(ds.attrs.get("group", "")))
                cells[subject] = [group, *(Cell("–") for _ in columns[1:])]
    for section, analysis in zip(contents.sections, known, strict=True):
        if analysis is None or analysis.scope != "checkpoint":
            continue
        summaries = {n: _summary(analysis, ds) for n, ds in section.results.items()}
        new = _columns(summaries.values(), section.label, anchors[section.label])
        columns += new
        for name, row in cells.items():
            row += _cells(new, summaries.get(name, ()))
    rows = tuple(
        Row(n, tuple(row), palette.style(Series(n, names[n].group if n in names else "")).color)
        for n, row in cells.items()
    )
    return Table("All models with the summary of each analysis.", "model", tuple(columns), rows)

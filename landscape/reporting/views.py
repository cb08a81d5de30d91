"""Views: what the page shows, worked out from the contents of a store before any HTML is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from landscape.base.figure import Series
from landscape.base.registry import find_recorded, named
from landscape.errors import InputError
from landscape.export.findings import SummaryOf
from landscape.export.papers import cited
from landscape.plotting.model_groupings import MOST_MODELS, Grouping, model_groupings
from landscape.plotting.palette import Palette
from landscape.reporting.bar import Choices, choices
from landscape.reporting.choices import Chooser
from landscape.reporting.figures import MODELS_WAY, Details, Drawn, FigureView, details, draw_section
from landscape.reporting.findings import FindingsView, findings_view
from landscape.reporting.layer_map import LayerMap, layer_map
from landscape.reporting.notices import Notice, notices
from landscape.reporting.provenance import Provenance, listed, provenance
from landscape.reporting.tables import Cell, Column, Row, Table, cell

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.analysis import Analysis, Metric
    from landscape.store.contents import Contents, Failure, Section

__all__ = ["Page", "SectionView", "page_of"]

MOST_OPEN = 16
"""Sections whose leading figure is shown before a reader asks."""

_WHO = "who and training"
_MOST_FIRST = 4


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
        figures: Its figures, models compared on shared axes; the first one stands for the section.
        open: Whether that one is shown before a reader asks, as in the first `MOST_OPEN` sections.
        left_out: How many figures of single results were left to the part on single models, or out.
        chooser: The figures of the one group, pair or model that a reader chooses.
        numbers: The summary of every result, if there is one.
        definitions: What its variables mean.
        provenance: Where its results come from.
        results: How many results it has.
        papers: Keys of the papers that its analysis cites; see `landscape.export.papers`.
    """

    anchor: str
    label: str
    title: str
    description: tuple[str, ...]
    options: str
    problems: tuple[str, ...]
    figures: tuple[FigureView, ...]
    open: bool
    left_out: int
    numbers: Table | None
    definitions: Table | None
    provenance: Provenance
    results: int
    chooser: Chooser | None = None
    papers: tuple[str, ...] = ()

    @property
    def wide(self) -> bool:
        """Whether its leading figure has panels in more than two columns, which ask for the whole page."""
        lead = self.figures[0].spec if self.figures and self.open else None
        return lead is not None and max(map(len, lead.panels), default=0) > 2


@dataclass(frozen=True)
class Page:
    """The whole report.

    Attributes:
        name: Name of the zoo.
        version: Version of landscape.
        created: When the newest result was computed.
        data: Path of the consolidated file, as seen from the page; ``""`` if there is none.
        findings: How two groups differ, and what goes with it.
        notices: Warnings, most serious first.
        models: All models, and predictives among them.
        predictives: How many of these are predictives.
        choices: What a reader may choose: a way of comparing, a group, a seed, a model.
        sections: The analyses.
        details: The figures of single models, if the zoo is too large to show them in the sections.
        layers: What is known of single layers, if anything is.
        failures: What failed.
        results: Number of results.
    """

    name: str
    version: str
    created: str
    data: str
    findings: FindingsView
    notices: tuple[Notice, ...]
    models: Table
    predictives: int
    choices: Choices
    sections: tuple[SectionView, ...]
    details: Details
    layers: LayerMap | None
    failures: tuple[Failure, ...]
    results: int


def page_of(contents: Contents, analyses: Iterable[Analysis | str] = (), data: str = "") -> Page:
    """Work out the page.

    Args:
        contents: The store.
        analyses: Analyses beside the installed ones, as objects or ``package.module:attribute``.
        data: Path of the consolidated file, as seen from the page.

    Raises:
        InputError: If one of ``analyses`` cannot be loaded.
    """
    from landscape import __version__

    given = named(analyses)
    anchors = _anchors([s.label for s in contents.sections])
    palette = _palette(contents)
    known = [_known(s.analysis, given) for s in contents.sections]
    subjects = [subject for s in contents.sections for subject in s.results]
    ways = model_groupings(contents, subjects)
    summary = _remembered(_summary)
    sections = [
        _section(section, analysis, anchors[section.label], palette, ways, summary)
        for section, analysis in zip(contents.sections, known, strict=True)
    ]
    drawn = [i for i, s in enumerate(sections) if s.figures]
    sections = [replace(s, open=i in drawn[:MOST_OPEN]) for i, s in enumerate(sections)]
    created = [str(ds.attrs.get("created", "")) for s in contents.sections for ds in s.results.values()]
    found = notices(contents, anchors, {s.label: s.problems for s in sections})
    models = _models(contents, known, palette, summary)
    names = [r.head for r in models.rows]
    titles = [s.title for s in sections]
    crowded = _crowded(contents.sections, known, len(names))
    if crowded:
        single = details(contents.sections, known, titles, palette, names, _first(names, found))
    else:
        single = Details({}, len(names))
    return Page(
        name=contents.name,
        version=__version__,
        created=max(created, default="").replace("T", " ").replace("+00:00", " UTC"),
        data=data,
        findings=findings_view(contents, _links(sections), summary),
        notices=tuple(found),
        models=models,
        predictives=_predictives(contents),
        choices=choices(contents, [MODELS_WAY] * (not crowded) + [w.name for w in ways], ways),
        sections=tuple(sections),
        details=single,
        layers=layer_map(contents),
        failures=tuple(f for f in contents.failures if f.kind != "inapplicable"),
        results=len(created),
    )


def _crowded(sections: Sequence[Section], known: Sequence[Analysis | None], models: int) -> bool:
    """Whether a section draws more models together than a figure shows one by one.

    A zoo of many models may hold few of each kind, as with the checkpoints of a run beside other models.
    """
    of = [len(s.results) for s, a in zip(sections, known, strict=True) if a and a.scope == "checkpoint"]
    return max(of, default=models) > MOST_MODELS


def _links(sections: Sequence[SectionView]) -> dict[str, str]:
    """Where the page shows each section: at its first figure, if it has one."""
    return {s.label: s.figures[0].anchor if s.figures else s.anchor for s in sections}


def _first(names: Sequence[str], found: Sequence[Notice]) -> list[str]:
    """The order in which models get a part of their own: those with warnings, then evenly over the rest."""
    warned = {subject for notice in found for subject in notice.subjects}
    rest = [n for n in names if n not in warned]
    steps = range(0, len(rest), max(1, len(rest) // MOST_MODELS))
    even = [rest[i] for i in steps]
    shown = set(even)
    return [n for n in names if n in warned] + even + [n for n in rest if n not in shown]


def _known(name: str, given: Mapping[str, Analysis]) -> Analysis | None:
    """The analysis of a section; ``None`` if it is not installed here."""
    try:
        return find_recorded(name, given)
    except InputError:
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


def _section(
    section: Section,
    analysis: Analysis | None,
    anchor: str,
    palette: Palette,
    ways: Sequence[Grouping],
    summary: SummaryOf,
) -> SectionView:
    results = section.results
    problems: list[str] = []
    drawn = Drawn()
    numbers: Table | None = None
    definitions: Table | None = None
    if analysis is None:
        problems.append(
            f"The analysis '{section.analysis}' is not installed here, so its results are listed but not"
            " drawn: install the package that provides it, or name it to landscape.report(..., analyses=)."
        )
    elif results:
        drawn = draw_section(analysis, results, anchor, palette, ways)
        problems += drawn.problems
        said, _ = analysis.schema.other_version(analysis.name, results)
        if said and not any(said in problem for problem in problems):
            problems.append(f"{said}; its numbers may mean something else.")
        numbers = _numbers(analysis, results, palette, summary)
        definitions = _definitions(analysis)
    title = analysis.title if analysis is not None else section.analysis
    return SectionView(
        anchor=anchor,
        label=section.label,
        title=title if section.label in (title, section.analysis) else f"{title}: {section.label}",
        description=_paragraphs(analysis.description) if analysis is not None else (),
        options=listed(section.parameters) if section.parameters else "",
        problems=tuple(problems),
        figures=tuple(drawn.figures),
        open=True,
        left_out=drawn.left_out,
        numbers=numbers,
        definitions=definitions,
        provenance=provenance(results),
        results=len(results),
        chooser=drawn.chooser,
        papers=tuple(p.key for p in cited(analysis.description)) if analysis is not None else (),
    )


def _definitions(analysis: Analysis) -> Table:
    """Every quantity of a result as its schema declares it."""
    declared = (*analysis.schema.coords, *analysis.schema.variables)
    rows = tuple(
        Row(v.name, (cell(v.meaning), cell(v.unit if v.unit != "1" else ""), cell(", ".join(v.dims))))
        for v in declared
    )
    columns = (Column("meaning"), Column("unit"), Column("dimensions"))
    return Table("Every quantity that a result holds.", "name in the file", columns, rows)


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(p.split()) for p in text.split("\n\n") if p.strip())


def _summary(analysis: Analysis, ds: xr.Dataset) -> list[Metric]:
    try:
        return list(analysis.summary(ds))
    except Exception:  # a result of an older version may lack what the summary reads
        return []


def _remembered(summary: SummaryOf) -> SummaryOf:
    """The same, that sums up each result once: three parts of a page ask for it."""
    known: dict[tuple[int, int], Sequence[Metric]] = {}

    def of(analysis: Analysis, ds: xr.Dataset) -> Sequence[Metric]:
        key = id(analysis), id(ds)  # of what the contents hold, which outlive the page
        if key not in known:
            known[key] = summary(analysis, ds)
        return known[key]

    return of


def _columns(summaries: Iterable[Sequence[Metric]], family: str = "") -> list[Column]:
    """A column for each metric that any result has, in order of appearance."""
    found: dict[str, Column] = {}
    for metrics in summaries:
        for m in metrics:
            found.setdefault(m.name, Column(m.name, m.unit, m.meaning, family))
    return list(found.values())


def _cells(columns: Sequence[Column], metrics: Sequence[Metric]) -> list[Cell]:
    found = {m.name: m for m in metrics}
    return [cell(m.value, m.error) if (m := found.get(c.label)) else cell(None) for c in columns]


def _intervals(summaries: Iterable[Sequence[Metric]]) -> str:
    """What a table's caption says of ±, where it shows any."""
    shown = any(m.error > 0 for metrics in summaries for m in metrics)
    return " ±: 95 % intervals of the measurement, not over training runs." if shown else ""


def _numbers(
    analysis: Analysis, results: Mapping[str, xr.Dataset], palette: Palette, summary: SummaryOf
) -> Table | None:
    summaries = {subject: summary(analysis, ds) for subject, ds in results.items()}
    columns = _columns(summaries.values())
    if not columns:
        return None
    rows = tuple(
        Row(subject, tuple(_cells(columns, metrics)), _color(palette, subject, results[subject]))
        for subject, metrics in summaries.items()
    )
    head = {"checkpoint": "model", "pair": "pair", "group": "group", "table": "table"}[analysis.scope]
    return Table(f"Summary of every result.{_intervals(summaries.values())}", head, tuple(columns), rows)


def _color(palette: Palette, subject: str, ds: xr.Dataset) -> str:
    return palette.style(Series(subject, str(ds.attrs.get("group", "")))).color


def _predictives(contents: Contents) -> int:
    """How many of the models are predictives, made of others."""
    return sum(bool(m.members) for m in contents.models)


def _models(
    contents: Contents, known: Sequence[Analysis | None], palette: Palette, summary: SummaryOf
) -> Table:
    """All models: who they are, how they were trained, and what each analysis says of them."""
    names = {m.name: m for m in contents.models}
    tags = dict.fromkeys(t for m in contents.models for t in m.tags)
    metrics = dict.fromkeys(k for m in contents.models for k in m.metrics)
    columns = [Column("group", family=_WHO), Column("seed", meaning="training seed", family=_WHO)]
    made = any(m.members for m in contents.models)
    columns += [Column("members", meaning="models that a predictive is made of", family=_WHO)] * made
    columns += [Column(t, family=_WHO) for t in tags]
    columns += [Column(k.replace("_", " "), family=_WHO) for k in metrics]
    cells: dict[str, list[Cell]] = {}
    for m in contents.models:
        cells[m.name] = [cell(m.group), cell(m.seed)]
        cells[m.name] += [cell(", ".join(m.members))] * made
        cells[m.name] += [cell(m.tags.get(t)) for t in tags]
        cells[m.name] += [cell(m.metrics.get(k)) for k in metrics]
    measured = [
        (s, a)
        for s, a in zip(contents.sections, known, strict=True)
        if a is not None and a.scope == "checkpoint"
    ]
    for section, _ in measured:
        for subject, ds in section.results.items():
            if subject not in cells:
                group = cell(str(ds.attrs.get("group", "")))
                cells[subject] = [group, *(Cell("–") for _ in columns[1:])]
    every: list[Sequence[Metric]] = []
    first = [0, *range(2 + made + len(tags), len(columns))][:_MOST_FIRST]
    for section, analysis in measured:
        summaries = {n: summary(analysis, ds) for n, ds in section.results.items()}
        every += summaries.values()
        new = _columns(summaries.values(), section.label)
        # the metric that its analysis marks as what it found, else the first
        found = {m.name for metrics in summaries.values() for m in metrics if m.finding}
        place = next((i for i, c in enumerate(new) if c.label in found), 0)
        first += [len(columns) + place] * bool(new)
        columns += new
        for name, row in cells.items():
            row += _cells(new, summaries.get(name, ()))
    rows = tuple(
        Row(n, tuple(row), palette.style(Series(n, names[n].group if n in names else "")).color)
        for n, row in cells.items()
    )
    made_of, known_models = _predictives(contents), len(names) or len(rows)
    counts = {"model": known_models - made_of, "predictive": made_of, "training": len(rows) - known_models}
    told = [f"{n} {word}{'s' * (n != 1)}" for word, n in counts.items() if n or word == "model"]
    listed = " and ".join(filter(None, [", ".join(told[:-1]), told[-1]]))
    caption = f"{listed} with the summary of each analysis.{_intervals(every)}"
    return Table(caption, "model", tuple(columns), rows, tuple(first))

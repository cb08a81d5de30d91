"""The paper: a store as a PDF of a dozen pages, to print or to send, with one figure for each analysis.

What the page (`landscape.reporting.page`) shows at first sight, set on paper: the models and their summary,
the leading figure of each section with its caption, where the results come from, and the papers cited.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.export.papers import papers
from landscape.plotting.axes_layout import has_field
from landscape.reporting.tables import Table
from landscape.reporting.views import Page, SectionView

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

    from landscape.plotting.palette import Palette

__all__ = ["write_paper"]

_SIZE = (8.27, 11.69)  # A4, in inches
_MARGIN = 0.75
_WIDTH, _ROOM = _SIZE[0] - 2 * _MARGIN, _SIZE[1] - 2 * _MARGIN
_FIGURE = 2.4  # inches of a figure without panels
_TALL = 4.4  # of a field with a name for each of many rows
_TALLEST = 5.2
_FEW_ROWS = 8
_BESIDE = 26  # characters of the name of the vertical axis, on one line
_MOST_ROWS, _MOST_COLUMNS = 30, 6
_INK, _QUIET = "#22272e", "#59616b"


@dataclass(frozen=True)
class _Text:
    """Lines of one size; ``apart`` is the space above them, in inches."""

    lines: tuple[str, ...]
    size: float = 8.5
    bold: bool = False
    color: str = _INK
    apart: float = 0.05
    columns: tuple[float, ...] = ()
    """Where the parts of each line, which tabs tell apart, start; in inches."""

    @property
    def height(self) -> float:
        return self.apart + len(self.lines) * self.size * 1.35 / 72


@dataclass(frozen=True)
class _Picture:
    """A figure, ``height`` inches tall, that draws itself on a part of a page."""

    height: float
    draw: Callable[[SubFigure], None]


_Block = tuple[_Text | _Picture, ...]
"""What stays together on one page."""


def write_paper(page: Page, palette: Palette, path: Path) -> Path:
    """Write the PDF, complete or not at all.

    Args:
        page: What the report shows.
        palette: The look of each model.
        path: Where to.

    Returns:
        The path.

    Raises:
        StoreError: If the file cannot be written.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    from landscape.plotting.backends.matplotlib_style import styled_for_print
    from landscape.store.files import replacing

    blocks = [*_first(page), *_figures(page, palette), *_methods(page), *_references(page)]
    pages = list(_set(blocks))
    about: dict[str, Any] = {"Title": page.name, "Creator": f"landscape {page.version}", "CreationDate": None}
    # Drawn and closed within the style: matplotlib embeds fonts as the style of that moment says.
    with replacing(path) as temporary, styled_for_print(), PdfPages(temporary, metadata=about) as file:
        for number, content in enumerate(pages, 1):
            file.savefig(_sheet(content, f"{page.name}    {number} / {len(pages)}"))
    return path


def _set(blocks: Iterable[_Block]) -> Iterator[list[_Text | _Picture]]:
    """The blocks in pages: each as soon as it fits."""
    content: list[_Text | _Picture] = []
    left = _ROOM
    for block in blocks:
        need = sum(part.height for part in block)
        if need > left and content:
            yield content
            content, left = [], _ROOM
        content += block
        left -= need
    if content:
        yield content


def _sheet(content: Sequence[_Text | _Picture], foot: str) -> Figure:
    from landscape.plotting.backends.matplotlib import PaperFigure

    sheet = PaperFigure(figsize=_SIZE, layout="constrained")
    sheet.text(0.5, 0.45 / _SIZE[1], _plain(foot), ha="center", fontsize=7.5, color=_QUIET)
    top = _MARGIN
    for part in content:
        if isinstance(part, _Text):
            _write(sheet, part, top)
        else:
            rows = [top, part.height, max(_SIZE[1] - top - part.height, 0.01)]
            grid = sheet.add_gridspec(
                3, 3, height_ratios=rows, width_ratios=[_MARGIN, _WIDTH, _MARGIN], wspace=0, hspace=0
            )
            part.draw(sheet.add_subfigure(grid[1, 1]))
        top += part.height
    return sheet


def _write(sheet: Figure, text: _Text, top: float) -> None:
    look: dict[str, Any] = {"fontsize": text.size, "color": text.color, "va": "top"}
    look["fontweight"] = "bold" if text.bold else "normal"
    for i, line in enumerate(text.lines):
        y = 1 - (top + text.apart + i * text.size * 1.35 / 72) / _SIZE[1]
        for part, at in zip(line.split("\t"), text.columns or (0.0,), strict=False):
            sheet.text((_MARGIN + at) / _SIZE[0], y, _plain(part), **look)


def _plain(text: str) -> str:
    """Text that matplotlib shows as it is: a dollar sign would start mathematics."""
    return text.replace("$", r"\$").replace("\n", " ")


def _wrapped(text: str, size: float = 8.5) -> tuple[str, ...]:
    # A character of the sans-serif font takes 0.54 of its size on average.
    return tuple(textwrap.wrap(" ".join(text.split()), int(_WIDTH * 72 / (0.54 * size)))) or ("",)


def _first(page: Page) -> Iterator[_Block]:
    models = len(page.choices.names) - page.predictives
    counted = {"trained model": models, "predictive": page.predictives, "result": page.results}
    told = [f"{n} {word}{'s' * (n != 1)}" for word, n in counted.items() if n or word != "predictive"]
    lead = f"{', '.join(told)} of {len(page.sections)} analys{'es' if len(page.sections) != 1 else 'is'}."
    lead += f" Drawn by landscape {page.version}" + (
        f"; newest result of {page.created}." if page.created else "."
    )
    yield (_Text((page.name,), 18, True), _Text(_wrapped(lead), apart=0.12))
    for sentence in page.findings.sentences:
        yield (_Text(_wrapped(sentence, 9.5), 9.5, apart=0.08),)
    for notice in page.notices[:6]:
        yield (_Text(_wrapped(f"Note: {notice.text}", 8), 8, color=_QUIET),)
    yield from _table(page.models)


def _table(table: Table) -> Iterator[_Block]:
    chosen = list(table.first or range(len(table.columns)))[:_MOST_COLUMNS]
    step = (_WIDTH - 1.5) / max(1, len(chosen))
    columns = (0.0, *(1.5 + i * step for i in range(len(chosen))))
    heads = [table.head, *(table.columns[i].title for i in chosen)]
    wrapped = [textwrap.wrap(head, max(6, int(step * 72 / 4.6))) or [""] for head in heads]
    tall = max(map(len, wrapped))
    lines = ["\t".join((["", *[""] * tall][: tall - len(w)] + w)[i] for w in wrapped) for i in range(tall)]
    rows = [
        "\t".join([_cut(row.head, 24), *(_cut(row.cells[i].text, int(step * 72 / 4.4)) for i in chosen)])
        for row in table.rows[:_MOST_ROWS]
    ]
    more = len(table.rows) - len(rows)
    yield (
        _Text(("Summary",), 12, True, apart=0.25),
        _Text(tuple(lines), 7.5, True, apart=0.08, columns=columns),
        _Text(tuple(rows), 7.5, apart=0.05, columns=columns),
        _Text((f"and {more} more, which the page lists.",) if more > 0 else (), 7.5, color=_QUIET),
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _figures(page: Page, palette: Palette) -> Iterator[_Block]:
    number = 0
    for section in page.sections:
        if not section.figures or not section.open:
            continue
        number += 1
        yield _figure(section, number, palette)


def _figure(section: SectionView, number: int, palette: Palette) -> _Block:
    from dataclasses import replace

    from landscape.plotting.backends.matplotlib_panels import draw_on, panel_rows_height

    spec = section.figures[0].spec
    if spec.panels:
        height = min(_TALLEST, panel_rows_height(spec, _WIDTH) + 0.3)
    elif has_field(spec) and len(spec.y.categories or ()) > _FEW_ROWS:
        height = _TALL
    else:
        height = _FIGURE + spec.equal * 0.7
    untitled = replace(spec, title="")
    if not spec.panels and len(spec.y.title) > _BESIDE:  # beside so low a picture it would jut out
        label = "\n".join(textwrap.wrap(spec.y.label, _BESIDE))
        untitled = replace(untitled, y=replace(spec.y, label=label))
    caption = f"Figure {number}. {spec.title}. {spec.whole_caption}"
    return (
        _Text((section.title,), 11, True, apart=0.16),
        _Picture(height, lambda part: draw_on(part, untitled, palette, _WIDTH)),
        _Text(_wrapped(caption, 7.5), 7.5, color=_QUIET, apart=0.03),
    )


def _methods(page: Page) -> Iterator[_Block]:
    head: _Block = (_Text(("Methods and provenance",), 12, True, apart=0.25),)
    for section in page.sections:
        known = {fact.label: fact.value.text for fact in section.provenance.common}
        kept = [
            f"{label}: {known[label]}"
            for label in ("examples", "seed", "loss", "BatchNorm statistics", "device", "number format")
            if known.get(label)
        ]
        said = f"{section.title} ({section.results} results). " + "; ".join(kept)
        said += f". Options: {section.options}." if section.options else "."
        yield (*head, _Text(_wrapped(said, 7), 7, apart=0.05))
        head = ()
    versions = next(
        (f.value.text for s in page.sections for f in s.provenance.common if f.label == "versions"), ""
    )
    if versions:
        yield (_Text(_wrapped(f"Versions: {versions}.", 7), 7, apart=0.08),)


def _references(page: Page) -> Iterator[_Block]:
    cited = {key for section in page.sections for key in section.papers}
    if not cited:
        return
    lines = [_Text(_wrapped(paper.line, 7), 7, apart=0.03) for paper in papers() if paper.key in cited]
    yield (_Text(("References",), 12, True, apart=0.25), lines[0])
    yield from ((line,) for line in lines[1:])

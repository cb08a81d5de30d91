"""The page of a difference: what differs, then the report of both sides alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from landscape.base.figure import FigureSpec, Heatmap
from landscape.base.registry import find_recorded, named
from landscape.plotting.backends import plotly as draw_plotly
from landscape.plotting.decimation import decimate
from landscape.plotting.palette import Palette
from landscape.plotting.scales import number
from landscape.reporting.diff.examples import HOW_TO_GET
from landscape.reporting.encode import compact
from landscape.reporting.page import render
from landscape.reporting.tables import Cell, Column, Row, Table, cell
from landscape.reporting.views import page_of

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis
    from landscape.reporting.diff.difference import Difference
    from landscape.reporting.diff.intervals import Gap

__all__ = ["Drawing", "change_table", "example_table", "layer_table", "render_difference", "short_html"]

_BESIDE = ("surface", "density")
_OF_EACH = {"surface": "Loss surfaces side by side", "density": "Spectral densities on shared axes"}
_SHORT = 8
_HOW = {"errors": "errors of both", "pairs": "same examples", "models": "over models"}


@dataclass(frozen=True)
class Drawing:
    """A figure of the page: its id, what it shows, and its data for the script."""

    anchor: str
    spec: FigureSpec
    json: str
    height: int


def render_difference(difference: Difference, analyses: Iterable[Analysis | str] = ()) -> str:
    """The HTML of the page of a difference."""
    given = list(analyses)
    page = page_of(difference.contents, given)
    figures = [_drawing(spec, f"d-{spec.name}", Palette.of([spec])) for spec in difference.figures()]
    return render(
        page,
        "diff.html",
        diff=difference,
        told=difference.sentences(),
        drawings={d.spec.name: d for d in figures},
        changes=change_table(difference),
        layers=layer_table(difference) if difference.layers else None,
        examples=example_table(difference) if difference.examples else None,
        beside=list(_beside(difference, given)),
        how_to_get=HOW_TO_GET,
    )


def _drawing(spec: FigureSpec, anchor: str, palette: Palette) -> Drawing:
    plain = draw_plotly.draw_plain(replace(decimate(spec), title=""), palette)
    ways = {"model": {**plain, "caption": spec.whole_caption}}
    return Drawing(anchor, spec, compact(ways), int(plain["layout"]["height"]))


def _beside(difference: Difference, analyses: Iterable[Analysis | str]) -> Iterator[dict[str, Any]]:
    """Surfaces and densities of the first model of each side, in rows of one or two figures."""
    own = named(analyses)
    palette = Palette({m.name: m.group for m in difference.contents.models})
    models = (difference.a.models[0], difference.b.models[0])
    for i, section in enumerate(difference.contents.sections):
        if section.analysis not in _BESIDE or not all(m in section.results for m in models):
            continue
        try:
            specs = find_recorded(section.analysis, own).figures({m: section.results[m] for m in models})
        except Exception:  # the section below says why
            continue
        if section.analysis == "density":
            rows = [[specs[0]]]
        else:
            fields = [s for s in specs if any(isinstance(m, Heatmap) and m.contours for m in s.marks)]
            of = [[s for s in fields if s.title.endswith(f": {m}")][:1] for m in models]
            rows = [of[0] + of[1]] if of[0] and of[1] else []
        for j, row in enumerate(rows):
            drawn = [_drawing(s, f"beside-{i}-{j}-{k}", palette) for k, s in enumerate(row)]
            named_ = "" if section.label == section.analysis else f" ({section.label})"
            yield {"title": _OF_EACH[section.analysis] + named_, "figures": drawn}


def change_table(difference: Difference) -> Table:
    """The changes, the clearest first."""
    columns = (
        Column("section"),
        Column("a", meaning=difference.a.name),
        Column("b", meaning=difference.b.name),
        Column("b − a"),
        Column("95 % interval", meaning="of the difference"),
        Column("strength", meaning="difference over half its interval: beyond ±1 the interval leaves out 0"),
        Column(
            "interval from", meaning="errors of both numbers, the same examples in pairs, or seeds of both"
        ),
        Column("meaning"),
    )
    rows = tuple(
        Row(
            c.name if c.unit in ("", "1") else f"{c.name} ({c.unit})",
            (
                cell(c.section),
                cell(c.a),
                cell(c.b),
                cell(c.gap.value),
                _interval(c.gap),
                cell(c.gap.strength) if math.isfinite(c.gap.strength) else Cell("–", numeric=True),
                cell(_HOW.get(c.gap.how, "")),
                cell(c.meaning),
            ),
        )
        for c in difference.changes
    )
    return Table(
        "Every number that sums up a result, the clearest difference first.", "metric", columns, rows
    )


def _interval(gap: Gap) -> Cell:
    if not gap.how:
        return Cell("–")
    return Cell(f"{number(gap.low)} … {number(gap.high)}", gap.low, numeric=True)


def layer_table(difference: Difference) -> Table:
    """The layers, that of the largest changes first."""
    similar = any(row.alike for row in difference.layers)
    columns = [
        Column("change", meaning="root mean square, over its measures, of difference over spread of layers"),
        Column(
            "clear", meaning="measures whose 95 % interval of the difference leaves out 0, of those with one"
        ),
        Column("largest in"),
        Column("a"),
        Column("b"),
        Column("b − a"),
        Column("95 % interval"),
    ]
    columns += [Column("CKA", meaning="kernel alignment of this layer in both models")] * similar
    rows = []
    for row in difference.layers:
        c = row.largest
        counted = Cell(f"{row.clear} of {row.of}", float(row.clear), numeric=True)
        cells = [
            cell(row.size),
            counted,
            cell(c.measure),
            cell(c.a),
            cell(c.b),
            cell(c.gap.value),
            _interval(c.gap),
        ]
        cells += [cell(row.alike.value if row.alike else None)] * similar
        rows.append(Row(row.layer, tuple(cells)))
    return Table("Layers that both have, the most changed first.", "layer", tuple(columns), tuple(rows))


def example_table(difference: Difference) -> Table:
    """The examples on which both disagree."""
    held = difference.examples
    assert held is not None
    columns = (
        Column(
            "right in a", meaning=f"whether {difference.a.name} is right; of several models the share that is"
        ),
        Column("right in b", meaning=f"whether {difference.b.name} is"),
        Column("NLL in a", "nats"),
        Column("NLL in b", "nats"),
        Column("b − a", "nats"),
    )
    rows = tuple(
        Row(
            str(r.example),
            (
                _right(r.right_a),
                _right(r.right_b),
                cell(r.nll_a),
                cell(r.nll_b),
                cell(r.nll_b - r.nll_a),
            ),
        )
        for r in held.rows
    )
    count = held.only_a + held.only_b
    shown = f"{count} examples" if count == len(rows) else f"{len(rows)} of {count} examples"
    return Table(f"{shown} on which they disagree, by number in the data.", "example", columns, rows)


def _right(share: float) -> Cell:
    return cell(bool(share)) if share in (0.0, 1.0) else cell(share)


def short_html(difference: Difference) -> str:
    """A few sentences and the clearest changes, for notebooks."""
    said = Markup("").join(Markup("<li>{}</li>").format(text) for text in difference.sentences())
    lines = Markup("").join(
        Markup("<tr><td>{}: {}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>").format(
            c.section, c.name, number(c.a), number(c.b), number(c.gap.value), _interval(c.gap).text
        )
        for c in difference.changes[:_SHORT]
    )
    head = Markup("<b>{}</b> against <b>{}</b>").format(difference.a.name, difference.b.name)
    heads = Markup("<tr><th>metric</th><th>a</th><th>b</th><th>b − a</th><th>95 % interval</th></tr>")
    return str(escape(head)) + f"<ul>{said}</ul><table>{heads}{lines}</table>"

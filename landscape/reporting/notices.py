"""Notices: what a reader must know before trusting a number, most serious first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from landscape.batchnorm_policy import normalise
from landscape.reporting.alike_texts import alike_texts
from landscape.text import foreign

if TYPE_CHECKING:
    import xarray as xr

    from landscape.store.contents import Contents, Section

__all__ = ["Notice", "notices"]

Level = Literal["error", "warning", "note"]

_SHOWN = 5
_WIDE = 0.25


@dataclass(frozen=True)
class Notice:
    """One warning.

    Attributes:
        level: ``error`` (something is missing), ``warning`` (a number may mislead) or ``note``.
        text: One sentence.
        subjects: The results it is about.
        anchor: Where the page says more.
    """

    level: Level
    text: str
    subjects: tuple[str, ...] = ()
    anchor: str = ""


def notices(
    contents: Contents, anchors: Mapping[str, str], troubles: Mapping[str, Sequence[str]]
) -> list[Notice]:
    """All notices about a store.

    Args:
        contents: The store.
        anchors: Anchor of each section by label.
        troubles: Sentences about what of a section cannot be shown, by label.
    """
    found: list[Notice] = []
    failures = [f for f in contents.failures if f.kind != "inapplicable"]
    if failures:
        models = tuple(dict.fromkeys(f.model for f in failures))
        found.append(Notice("error", f"{_count(len(failures), 'task')} failed.", models, "failures"))
    without: dict[tuple[str, str], list[str]] = {}
    for failure in contents.failures:
        if failure.kind == "inapplicable":
            without.setdefault((failure.label, failure.error), []).append(failure.model)
    found += [
        Notice("note", f"{label} does not apply: {foreign(error, None)}", tuple(subjects))
        for (label, error), subjects in without.items()
    ]
    if contents.missing:
        found.append(
            Notice("error", f"{_count(contents.missing, 'task')} not computed yet; run again to finish.")
        )
    for section in contents.sections:
        anchor = anchors.get(section.label, "")
        found += [
            Notice("warning", f"{section.label}: {text}", (), anchor)
            for text in troubles.get(section.label, ())
        ]
        older = tuple(name for name in section.results if name in section.older)
        if older:
            files = ", ".join(sorted({file for name in older for file in section.older[name]}))
            text = (
                f"{section.label}: computed with older code ({foreign(files)} changed since);"
                " `landscape run --changed redo` computes it again."
            )
            found.append(Notice("warning", text, older, anchor))
        found += _of_section(section, anchor)
    if contents.others:
        named = ", ".join(f"'{foreign(name, 80)}'" for name in contents.others)
        text = (
            f"The store holds results of other zoos too: {named}; `landscape report --zoo NAME` shows them."
        )
        found.append(Notice("note", text))
    unread = {name: _unread(ds) for section in contents.sections for name, ds in section.results.items()}
    names = sorted({name for held in unread.values() for name in held})
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(foreign(name, 80) for name in names[:_SHOWN]) + more
        found.append(
            Notice(
                "note",
                f"Beside their weights, checkpoints name what was not imported: {shown}.",
                tuple(name for name, held in unread.items() if held),
            )
        )
    found += _of_loading(contents)
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda n: order[n.level])


def _unread(ds: xr.Dataset) -> list[str]:
    """What a checkpoint's pickle wanted to import and did not."""
    try:
        held = json.loads(ds.attrs.get("unread", "[]"))
    except (TypeError, ValueError, RecursionError):
        return []
    return [str(name) for name in held] if isinstance(held, list) else []


_ABOUT_LOADING = {
    "weights": "weights were taken from {text}",
    "load_notes": "{text}",
    "not_compared": "{text}",
}


def _of_loading(contents: Contents) -> list[Notice]:
    """How checkpoints were made to fit, and which recorded metrics were not compared; alike ones together."""
    said: dict[tuple[str, str], dict[str, None]] = {}
    for section in contents.sections:
        for ds in section.results.values():
            for attr in _ABOUT_LOADING:
                for name, text in _mapping(ds.attrs.get(attr)).items():
                    said.setdefault((attr, str(text)), {})[str(name)] = None
    found = []
    for (attr, text), names in said.items():
        what = _ABOUT_LOADING[attr].format(text=foreign(text, None)).rstrip(".")
        found.append(
            Notice("note", f"{what[:1].upper()}{what[1:]}.", tuple(names))
        )  # the page adds the names
    return found


def _mapping(text: object) -> Mapping[str, object]:
    """The JSON mapping in an attribute; empty if there is none."""
    try:
        held = json.loads(str(text)) if text else {}
    except (ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def _of_section(section: Section, anchor: str) -> list[Notice]:
    found = [
        Notice("warning", f"{section.label}: '{member}' is left out: {reason}", (name,), anchor)
        for name, ds in section.results.items()
        for member, reason in json.loads(ds.attrs.get("left_out", "{}")).items()
    ]
    open_ones = (n for n, ds in section.results.items() if not _converged(ds) and not _why_not(ds))
    loose = _which(section, open_ones)
    if loose:
        found.append(
            Notice(
                "warning",
                f"{section.label}: not converged to the asked accuracy; see the residuals or errors.",
                loose,
                anchor,
            )
        )
    training = _which(
        section,
        (n for n, ds in section.results.items() if normalise(ds.attrs.get("batchnorm")) == "batch"),
    )
    if training:
        found.append(
            Notice(
                "warning",
                f"{section.label}: BatchNorm used batch statistics, so results depend on how the data were"
                " batched.",
                training,
                anchor,
            )
        )
    doubts = {n: str(ds.attrs["scores_notice"]) for n, ds in section.results.items() if _doubted(ds)}
    found += _said(section, "warning", doubts, anchor)
    own = {n: _text(ds, "notice") for n, ds in section.results.items()}
    found += _said(section, "warning", own, anchor)
    why = {n: _why_not(ds) for n, ds in section.results.items() if not _converged(ds)}
    found += _said(section, "note", why, anchor)
    found += _of_reductions(section, anchor)
    found += _of_derivatives(section, anchor)
    wide = _which(section, (n for n, ds in section.results.items() if _wide(ds)))
    if wide:
        found.append(
            Notice(
                "warning",
                f"{section.label}: standard errors above {_WIDE:.0%} of the value; more data or samples"
                " would make it surer.",
                wide,
                anchor,
            )
        )
    holes = _which(section, (n for n, ds in section.results.items() if _infinite(ds)))
    if holes:
        found.append(Notice("note", f"{section.label}: infinite values, drawn as gaps.", holes, anchor))
    return found


def _said(section: Section, level: Level, texts: Mapping[str, str], anchor: str) -> list[Notice]:
    """What results say of themselves; what differs in numbers alone is one notice."""
    return [
        Notice(level, f"{section.label}: {text}.", _which(section, names), anchor)
        for text, names in alike_texts(texts).items()
    ]


_REDUCTIONS = {
    "sum": "the loss is a sum, so values are sums over all examples",
    "batch mean": "the loss gives only means over batches, so standard errors over examples are unknown;"
    " return one loss per example",
}
"""What it means for a result that its loss does not give one number per example."""


def _of_reductions(section: Section, anchor: str) -> list[Notice]:
    found = []
    for word, text in _REDUCTIONS.items():
        names = _which(
            section, (n for n, ds in section.results.items() if ds.attrs.get("loss_reduction") == word)
        )
        if names:
            found.append(Notice("note", f"{section.label}: {text}.", names, anchor))
    return found


def _of_derivatives(section: Section, anchor: str) -> list[Notice]:
    """What is known of derivatives that could not be, or were not, held against differences."""
    said = {name: str(ds.attrs.get("derivatives_notice", "")) for name, ds in section.results.items()}
    return _said(section, "note", said, anchor)


def _doubted(ds: xr.Dataset) -> bool:
    """Whether a result holds scores of probabilities that do not agree with the problem's loss."""
    return bool(ds.attrs.get("scores_notice")) and any(name in ds for name in ("nll", "mean_nll", "ece"))


def _text(ds: xr.Dataset, name: str) -> str:
    """What an analysis has put into a result as a single text; empty if there is none.

    `xarray.Dataset.variables` throughout: taken out of a data set, each variable gets all its coordinates
    along, and a report looks at each of thousands of results.
    """
    held = ds.variables.get(name)
    return "" if held is None or held.ndim else str(held.values.item())


def _which(section: Section, names: Iterable[str]) -> tuple[str, ...]:
    """The names, or none at all to say "all results"."""
    found = tuple(names)
    return ("all results",) if len(found) == len(section.results) > 1 else found


def _converged(ds: xr.Dataset) -> bool:
    flags = [v.values for n, v in ds.variables.items() if str(n).endswith("converged")]
    return all(bool(np.all(f)) for f in flags)


def _why_not(ds: xr.Dataset) -> str:
    """Why a result has not converged, where the analysis itself says so; else empty."""
    return _text(ds, "converged_notice")


def _wide(ds: xr.Dataset) -> bool:
    """Whether a single number of the result, such as a trace, is known only roughly."""
    held = _data(ds)
    for name, error in held.items():
        of = name.removesuffix("_se")
        value = held.get(of)
        if value is None or of == name or error.ndim or value.ndim:
            continue
        # A bracket is narrowed by more steps, not by more samples, and `converged` speaks of it.
        if f"{of}_low" in held:
            continue
        if abs(float(error.values)) > _WIDE * abs(float(value.values)) > 0:
            return True
    return False


def _infinite(ds: xr.Dataset) -> bool:
    plain = (v for v in _data(ds).values() if v.dtype.kind == "f" and "unbounded" not in v.attrs)
    return any(bool(np.isinf(v.values).any()) for v in plain)


def _data(ds: xr.Dataset) -> dict[str, xr.Variable]:
    """The variables that are no coordinates."""
    coords = set(ds.coords)
    return {str(name): v for name, v in ds.variables.items() if name not in coords}


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")

"""Layer map: what several analyses say of the units of a model, put together unit by unit.

Analyses that look at single layers name them alike, but each looks at its own choice of them. Here the
choices become one list in firing order, cut into blocks, with every measure that any analysis has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plotting.palette import colormap
from landscape.reporting.encode import compact, packed

if TYPE_CHECKING:
    import xarray as xr

    from landscape.store.contents import Contents

__all__ = ["MOST_BYTES", "LayerMap", "blocks", "in_firing_order", "layer_map"]

MOST_BYTES = 400_000
"""What the map of a large zoo may take in the page; models beyond it are left out, and this is said."""

_TWO_SIDED = 1.96  # standard errors in half of a 95 % interval

Values = dict[str, tuple[float, float, float]]
"""By unit: a value and the ends of its interval, NaN where unknown."""


@dataclass(frozen=True)
class Measure:
    """What colours a unit.

    Attributes:
        name: Its key in the page.
        title: What a reader chooses, with its unit.
        meaning: One sentence.
        kind: The colours: signed values about zero, or not.
        analysis: Whose results it is read from.
        read: From a result to the values of its units.
    """

    name: str
    title: str
    meaning: str
    kind: str
    analysis: str
    read: Callable[[xr.Dataset], Values]


def _between(ds: xr.Dataset, name: str) -> Values:
    ends = ds[f"{name}_interval"].values
    rows = zip(ds["layer"].values, ds[name].values, *ends, strict=True)
    return {str(unit): (float(v), float(low), float(high)) for unit, v, low, high in rows}


def _share(ds: xr.Dataset) -> Values:
    shares = ds["layer_share"].values[:, 0]
    return {str(u): (float(v), np.nan, np.nan) for u, v in zip(ds["layer"].values, shares, strict=True)}


def _lesion(ds: xr.Dataset) -> Values:
    value, error = ds["delta_loss"].values[:, 0], _TWO_SIDED * ds["delta_loss_se"].values[:, 0]
    rows = zip(ds["unit"].values, value, error, strict=True)
    return {str(unit): (float(v), float(v - e), float(v + e)) for unit, v, e in rows}


MEASURES = (
    Measure(
        "high_low",
        "ln high/low power",
        "Natural logarithm of the mean power of the unit's maps at high over low frequencies; white noise"
        " is 0.",
        "diverging",
        "fourier",
        lambda ds: _between(ds, "high_low"),
    ),
    Measure(
        "gain",
        "ln high/low gain",
        "Natural logarithm of the unit's transfer at high over low frequencies; below 0 it smooths.",
        "diverging",
        "transfer",
        lambda ds: _between(ds, "gain_high_low"),
    ),
    Measure(
        "share",
        "share of λ₁",
        "Share of the unit's parameters in the squared eigenvector of the largest Hessian eigenvalue.",
        "sequential",
        "structure",
        _share,
    ),
    Measure(
        "lesion",
        "lesion (nats/example)",
        "Rise of the mean loss when the unit is taken out.",
        "sequential",
        "lesion",
        _lesion,
    ),
)


@dataclass(frozen=True)
class LayerMap:
    """The map of a page.

    Attributes:
        packs: Packed JSON by model: its blocks and their units.
        about: What all models share, as JSON: measures with their limits, colours, radii.
        total: How many models have units at all.
    """

    packs: dict[str, str]
    about: str
    total: int


def layer_map(contents: Contents) -> LayerMap | None:
    """The map of all models that some analysis has looked at layer by layer; ``None`` if there is none."""
    results = _results(contents)
    measured = {m: None for held in results.values() for m in held}
    models = [m.name for m in contents.models if m.name in measured]
    models += [m for m in measured if m not in set(models)]
    if not models:
        return None
    values = {m: {k.name: _read(k, results, m) for k in MEASURES} for m in models}
    beside = _alike(contents)
    packs: dict[str, str] = {}
    left = MOST_BYTES
    for model in models:
        packs[model] = packed(compact(_model(model, results, values[model], beside.get(model, {}))))
        left -= len(packs[model])
        if left < 0:
            del packs[model]
            break
    about: dict[str, Any] = {
        "measures": [
            {"name": k.name, "title": k.title, "meaning": k.meaning, "kind": k.kind, "limits": limits}
            for k in MEASURES
            if (limits := _limits(k.kind, [v for m in models for v, *_ in values[m][k.name].values()]))
        ],
        "cka": bool(beside),
        "colors": {"sequential": colormap("sequential"), "diverging": colormap("diverging")},
    }
    return LayerMap(packs, compact(about), len(models)) if about["measures"] else None


def _results(contents: Contents) -> dict[str, Mapping[str, xr.Dataset]]:
    """The results of the first section of each analysis that has units."""
    wanted = {k.analysis for k in MEASURES}
    found: dict[str, Mapping[str, xr.Dataset]] = {}
    for section in contents.sections:
        if section.analysis in wanted and section.results:
            found.setdefault(section.analysis, section.results)
    return found


def _read(measure: Measure, results: Mapping[str, Mapping[str, xr.Dataset]], model: str) -> Values:
    ds = results.get(measure.analysis, {}).get(model)
    try:
        return {} if ds is None else measure.read(ds)
    except (KeyError, ValueError):  # a result of an older version lacks what is read here
        return {}


def _limits(kind: str, values: Sequence[float]) -> tuple[float, float] | None:
    """The ends of the colours, the same for all models; one extreme unit does not set them."""
    known = np.asarray([v for v in values if np.isfinite(v)])
    if not known.size:
        return None
    low, high = (float(q) for q in np.quantile(known, (0.02, 0.98)))
    if kind == "diverging":
        high = max(abs(low), abs(high)) or 1.0
        return -high, high
    return min(0.0, low), high if high > min(0.0, low) else min(0.0, low) + 1.0


def _model(
    model: str,
    results: Mapping[str, Mapping[str, xr.Dataset]],
    values: Mapping[str, Values],
    beside: Mapping[str, Mapping[str, float]],
) -> list[dict[str, Any]]:
    """The blocks of a model: ``{"name": ..., "units": [...]}`` with all that is known of each unit."""
    held = {a: ds[model] for a, ds in results.items() if model in ds}
    coords = [("layer" if "layer" in ds.coords else "unit", ds) for ds in held.values()]
    units = in_firing_order([[str(u) for u in ds[name].values] for name, ds in coords])
    facts: dict[str, dict[str, Any]] = {u: {"name": u} for u in units}
    for _, ds in coords:
        if "kind" in ds.coords and "layer" in ds.coords:
            for unit, kind in zip(ds["layer"].values, ds["kind"].values, strict=True):
                facts[str(unit)]["kind"] = str(kind)
    if "fourier" in held:
        _maps(held["fourier"], facts)
    if "transfer" in held:
        _curves(held["transfer"], "transfer", facts)
    for unit, fact in facts.items():
        fact["values"] = {k: v[unit] for k, v in values.items() if unit in v}
        if unit in beside:
            fact["cka"] = beside[unit]
    return [{"name": name, "units": [facts[u] for u in members]} for name, members in blocks(units).items()]


def _maps(ds: xr.Dataset, facts: Mapping[str, dict[str, Any]]) -> None:
    for i, unit in enumerate(ds["layer"].values):
        facts[str(unit)]["size"] = [int(ds[n].values[i]) for n in ("channels", "height", "width")]
    _curves(ds, "log_power", facts)


def _curves(ds: xr.Dataset, name: str, facts: Mapping[str, dict[str, Any]]) -> None:
    """Values over radii with their interval; four digits are more than a small picture shows."""
    rows = zip(ds["layer"].values, ds[name].values, *ds[f"{name}_interval"].values, strict=True)
    for unit, *curves in rows:
        curve = {"r": ds["radius"].values, "y": curves[0], "low": curves[1], "high": curves[2]}
        facts[str(unit)][name] = {k: [_short(v) for v in c] for k, c in curve.items()}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _alike(contents: Contents) -> dict[str, dict[str, dict[str, float]]]:
    """By model, unit and other model: the highest CKA with any unit of that other model."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for section in contents.sections:
        if section.analysis != "cka":
            continue
        for ds in section.results.values():
            if not {"model_a", "layer_a", "model_b", "cka"} <= set(map(str, ds.variables)):
                continue
            others = ds["model_b"].values
            rows = zip(ds["model_a"].values, ds["layer_a"].values, ds["cka"].values, strict=True)
            for model, unit, row in rows:
                of = out.setdefault(str(model), {}).setdefault(str(unit), {})
                for other in dict.fromkeys(str(o) for o in others):
                    there = row[others == other]
                    if other != str(model) and np.isfinite(there).any():
                        of[other] = float(np.nanmax(there))
    return out


def in_firing_order(lists: Iterable[Sequence[str]]) -> list[str]:
    """One list that keeps the order of each: the longest, with what only others have put where they have it.

    Example:
        >>> in_firing_order([["conv", "block"], ["conv", "norm", "act"]])
        ['conv', 'block', 'norm', 'act']
    """
    ordered = sorted(lists, key=len, reverse=True)
    found: list[str] = list(ordered[0]) if ordered else []
    for names in ordered[1:]:
        at = -1
        for name in names:
            if name in found:
                at = max(at, found.index(name))
            else:
                at += 1
                found.insert(at, name)
    return found


def blocks(units: Sequence[str]) -> dict[str, list[str]]:
    """Units by block, blocks in the order of their first unit.

    The block of ``stages.1.0.shortcut.conv`` is ``stages.1.0``, that of ``blocks.0.attn`` is ``blocks.0``:
    the path up to its first numbers. Units with nothing below their numbers stand with their siblings.

    Example:
        >>> blocks(["stem.conv", "stages.0.0.conv1", "stages.0.0", "head"])
        {'stem': ['stem.conv'], 'stages.0.0': ['stages.0.0.conv1', 'stages.0.0'], 'head': ['head']}
    """
    found: dict[str, list[str]] = {}
    paths = {unit: _numbered(unit) for unit in units}
    for unit, path in paths.items():
        if path == unit and not any(other != unit and p == unit for other, p in paths.items()):
            path = unit.rpartition(".")[0] or unit
        found.setdefault(path, []).append(unit)
    return found


def _numbered(unit: str) -> str:
    parts = unit.split(".")
    ends = [i for i, part in enumerate(parts) if part[-1:].isdigit()]
    if not ends:
        return parts[0]
    end = ends[0]
    while end + 1 < len(parts) and parts[end + 1].isdigit():
        end += 1
    return ".".join(parts[: end + 1])

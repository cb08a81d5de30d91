"""Provenance: where the results of a section come from, said once where it is common to all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape.batchnorm_policy import normalise
from landscape.reporting.tables import Cell, Column, Row, Table, cell

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Fact", "Provenance", "listed", "provenance"]

_KNOWN = {
    "parameters": ("options", ""),
    "seed": ("seed", ""),
    "loss": ("loss", ""),
    "weight_decay": ("weight decay", ""),
    "batchnorm": ("BatchNorm statistics", ""),
    "examples": ("examples", ""),
    "parameters_count": ("parameters of the model", ""),
    "checkpoint": ("checkpoint hash", ""),
    "data_source": ("data", ""),
    "preprocessing": ("preparation of inputs", ""),
    "classes": ("classes", ""),
    "data": ("data hash", ""),
    "device": ("device", ""),
    "dtype": ("number format", ""),
    "threads": ("threads", ""),
    "wall_time_s": ("wall time", "s"),
    "created": ("computed", "UTC"),
    "versions": ("versions", ""),
    "schema_version": ("schema version", ""),
    "key": ("key in the store", ""),
    "code": ("own code", ""),
    "problems": ("problems", ""),
}
_ELSEWHERE = {"analysis", "title", "label", "model", "group", "model_seed", "run", "tags"}
_HASH_SHOWN = 12
# Results of 0.1 hold words of before; so that equal settings read alike, all are shown in today's.
_WORDS = {"batchnorm": normalise}


@dataclass(frozen=True)
class Fact:
    """One fact that all results share."""

    label: str
    value: Cell


@dataclass(frozen=True)
class Provenance:
    """What the results of a section have in common, and the table of what differs (or ``None``)."""

    common: tuple[Fact, ...]
    varying: Table | None


def provenance(results: Mapping[str, xr.Dataset]) -> Provenance:
    """Sort the attributes of results into common and varying ones.

    Attributes that this version of landscape does not know are shown under their own name.
    """
    names = dict.fromkeys(n for ds in results.values() for n in ds.attrs if n not in _ELSEWHERE)
    ordered = [n for n in _KNOWN if n in names] + [n for n in names if n not in _KNOWN]
    common: list[Fact] = []
    varying: list[str] = []
    for name in ordered:
        values = [_said(name, ds) for ds in results.values()]
        if all(str(v) == str(values[0]) for v in values):
            label, unit = _KNOWN.get(name, (name.replace("_", " "), ""))
            common.append(Fact(f"{label} ({unit})" if unit else label, _value(name, values[0])))
        else:
            varying.append(name)
    return Provenance(tuple(common), _table(results, varying) if varying else None)


def _table(results: Mapping[str, xr.Dataset], names: list[str]) -> Table:
    columns = tuple(Column(*_KNOWN.get(n, (n.replace("_", " "), ""))) for n in names)
    rows = tuple(
        Row(subject, tuple(_value(n, _said(n, ds)) for n in names)) for subject, ds in results.items()
    )
    return Table("What differs between results.", "result", columns, rows)


def _said(name: str, ds: xr.Dataset) -> Any:
    value = ds.attrs.get(name)
    return _WORDS[name](value) if name in _WORDS else value


def _value(name: str, value: Any) -> Cell:
    if hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, str):
        return cell(value)
    if name in ("checkpoint", "data", "key") and len(value) > _HASH_SHOWN:
        return Cell(value[:_HASH_SHOWN] + "…", value, full=value)
    if name == "created":
        return Cell(value.replace("T", " ").removesuffix("+00:00"), value)
    if name == "code" and _is_object(value):
        held = {file: str(digest)[:_HASH_SHOWN] for file, digest in json.loads(value).items()}
        return Cell(listed(held), value)
    if name in ("parameters", "versions", "problems"):
        return Cell(listed(json.loads(value)) if _is_object(value) else value, value)
    return cell(value)


def listed(values: Mapping[str, Any]) -> str:
    """Names and values on one line.

    Example:
        >>> listed({"k": 10, "which": "LM", "limit": None})
        'k = 10, which = LM, limit = none'
    """
    return ", ".join(f"{name} = {_plain(value)}" for name, value in values.items()) or "none"


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False

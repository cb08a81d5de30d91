"""The dataset in a group of an open file, as `landscape.store.netcdf` wrote it, by h5py alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.store.netcdf import WRITTEN_HERE, text_type, types_of
from landscape.store.within import Item, numbers_at, open_all

if TYPE_CHECKING:
    import h5py
    import xarray as xr

__all__ = ["Known", "dataset_in"]

_LAYOUT = {
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "_Netcdf4Dimid",
    "_NCProperties",
    "coordinates",
}
_STAND_IN = b"This is a netCDF dimension but not a netCDF variable"


@dataclass(frozen=True)
class _Facts:
    """What a file says of a variable beside its values; for a dimension without variable, nothing."""

    dims: tuple[str, ...] = ()
    marks: dict[str, Any] = field(default_factory=dict)
    coords: frozenset[str] = frozenset()
    stand_in: bool = False
    is_bool: bool = False


Known = dict[tuple[str, str, str], _Facts]
"""What was read of variables, by analysis, schema version and name: the schema makes it the same in each
result, and reading it anew takes longer than reading the values."""


class _Scales:
    """The names of a group's dimension scales, which its variables refer to by their place in the file."""

    def __init__(self, group: h5py.Group, items: Mapping[bytes, Item | None]) -> None:
        self._group = group
        self._items = items
        self._names: dict[int, str] = {}

    def name(self, reference: h5py.Reference) -> str:
        """The name of what is referred to, without its folders."""
        from h5py import h5o, h5r

        # HDF5's own way from an object to its name visits the file from the top until it meets the object.
        if not self._names:
            there = ((name, item) for name, item in self._items.items() if item is not None)
            self._names = {h5o.get_info(item.data).addr: name.decode() for name, item in there}
        place: int = h5o.get_info(h5r.dereference(reference, self._group.id)).addr
        if place in self._names:
            return self._names[place]
        elsewhere: str = h5r.get_name(reference, self._group.id).decode().rpartition("/")[2]
        return elsewhere


def dataset_in(
    group: h5py.Group,
    path: Path,
    size: int,
    data: bytes | None = None,
    known: Known | None = None,
    attrs: Mapping[str, str] | None = None,
) -> xr.Dataset | None:
    """The dataset in a group of an open file.

    Args:
        group: The group.
        path: The file.
        size: How many bytes it has.
        data: These, if they are at hand.
        known: Filled while reading, and used: give the same one for all groups of a store.
        attrs: Attributes that it gets, in place of its own of these names.

    Returns:
        ``None`` if `landscape.store.netcdf` did not write it.

    Raises:
        StoreError: If one of its data sets leads to other files, or declares more than the file could hold.
        Exception: Of any kind, if it is damaged.
    """
    import xarray as xr

    held = _attributes(group)
    if held.pop("_NCProperties", "") != WRITTEN_HERE:
        return None
    coords = set(str(held.pop("coordinates", "")).split())
    which = str(held.get("analysis", "")), str(held.get("schema_version", ""))
    variables: dict[str, xr.Variable] = {}
    known = {} if known is None else known
    # All of them are checked before a value is read.
    items = open_all(group.id, path, size)
    scales = _Scales(group, items)
    for key, item in items.items():
        name = key.decode()
        if item is None:
            raise TypeError(f"'{name}' is no data set")
        facts = known.get((*which, name))
        if facts is None or len(facts.dims) != len(item.shape):
            facts = _facts(name, group[name], scales)
            if all(which):
                known[(*which, name)] = facts
        if facts.stand_in:
            continue
        coords |= facts.coords
        values = numbers_at(item, data) if item.dtype.kind != "O" else _texts(item.data)
        if facts.is_bool:
            values = values.astype(bool)
        variables[name] = xr.Variable(facts.dims, values, facts.marks, fastpath=True)
    coords |= {name for name, v in variables.items() if v.dims == (name,)}
    inner = {name: v for name, v in variables.items() if name in coords}
    rest = {name: v for name, v in variables.items() if name not in inner}
    return _put_together(rest, inner, {**held, **(attrs or {})})


def _put_together(
    rest: dict[str, xr.Variable], inner: dict[str, xr.Variable], attrs: dict[str, Any]
) -> xr.Dataset:
    """A dataset of variables and coordinates, as xarray's own constructor makes it."""
    import xarray as xr

    # Which first aligns and merges what comes from anywhere: a tenth of the time of reading a result. All of
    # this is of one dataset, and that sizes agree is checked here as well.
    indexes: dict[Any, xr.indexes.Index] = {}
    coords: dict[str, xr.Variable] = {}
    for name, variable in inner.items():
        coords[name] = variable
        if variable.dims == (name,):
            own = {name: variable.to_index_variable()}
            indexes[name] = xr.indexes.PandasIndex.from_variables(own, options={})
            coords |= indexes[name].create_variables(own)
    try:
        return xr.Dataset._construct_direct({**rest, **coords}, set(coords), attrs=attrs, indexes=indexes)
    except (AttributeError, TypeError):  # not public: another version of xarray may lack it
        return xr.Dataset(rest, coords=inner, attrs=attrs)


def _texts(item: h5py.h5d.DatasetID) -> NDArray[Any]:
    """All texts of a data set, without the detours of h5py's general way."""
    from h5py import h5s

    held = np.empty(item.shape, item.dtype)
    item.read(h5s.ALL, h5s.ALL, held)
    texts = [text.decode() if isinstance(text, bytes) else text for text in held.flat]
    return np.array(texts, dtype=object).reshape(held.shape).astype(str)


def _attributes(group: h5py.Group) -> dict[str, Any]:
    """The attributes of a group as xarray gives them; single texts, most of them, by the shortest way."""
    from h5py import h5a

    found: dict[str, Any] = {}
    held = group.attrs
    texts = text_type()
    kind = types_of(texts)[1]
    for name in held:
        attribute, text = h5a.open(group.id, name.encode()), np.empty((), texts)
        try:
            if attribute.shape != ():  # HDF5 would write all of them, and there is room for one
                raise ValueError("several texts")
            attribute.read(text, mtype=kind)
        except (OSError, TypeError, ValueError):  # numbers, too
            found[name] = _value(held[name])
        else:
            found[name] = _value(text.item())
    return found


def _facts(name: str, item: h5py.Dataset, scales: _Scales) -> _Facts:
    held = item.attrs
    present = set(held)
    if "NAME" in present and held["NAME"].startswith(_STAND_IN):
        return _Facts((name,), stand_in=True)
    coords = frozenset(_text(held["coordinates"]).split()) if "coordinates" in present else frozenset()
    marks = {key: _value(held[key]) for key in held if key not in _LAYOUT}
    is_bool = marks.get("dtype") == "bool"
    if is_bool:
        del marks["dtype"]
    return _Facts(_dims(name, item, present, scales), marks, coords, is_bool=is_bool)


def _dims(name: str, item: h5py.Dataset, present: set[str], scales: _Scales) -> tuple[str, ...]:
    if "DIMENSION_LIST" not in present:
        return (name,) if item.ndim else ()
    return tuple(scales.name(attached[0]) for attached in item.attrs["DIMENSION_LIST"])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _value(value: Any) -> Any:
    """An attribute as xarray gives it: texts, and numbers without their array."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        value = value.astype(str).tolist() if value.dtype.kind in "OS" else value
        return value[0] if len(value) == 1 else value
    return value

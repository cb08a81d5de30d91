"""Reading results by h5py alone: several times quicker than by xarray, for reports of thousands of files.

Only files that `landscape.store.netcdf` wrote are read this way; others go through xarray.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.errors import StoreError
from landscape.store.digest import checked
from landscape.store.files import open as open_file
from landscape.store.netcdf import WRITTEN_HERE
from landscape.store.within import open_data, read_numbers

if TYPE_CHECKING:
    import h5py
    import xarray as xr

__all__ = ["Known", "read"]

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


def read(path: Path, known: Known | None = None) -> xr.Dataset:
    """The dataset of a result file, as `landscape.open` gives it.

    Args:
        path: A result.
        known: Filled while reading, and used: give the same one for all files of a store.

    Raises:
        StoreError: If the file is missing or damaged.
    """
    import h5py

    try:
        data = checked(path)
        # Read once: what was checked is what HDF5 gets.
        with h5py.File(h5py.h5f.open_file_image(data)) as file:
            if _text(file.attrs.get("_NCProperties", "")) == WRITTEN_HERE:
                return _dataset(file, path, len(data), {} if known is None else known)
    except StoreError:
        raise
    except Exception:  # what is wrong with a file is told by the slower way
        return open_file(path)
    return open_file(path)


def _dataset(file: h5py.File, path: Path, size: int, known: Known) -> xr.Dataset:
    import xarray as xr
    from h5py import h5g

    attrs = {key: _value(value) for key, value in file.attrs.items() if key != "_NCProperties"}
    coords = set(str(attrs.pop("coordinates", "")).split())
    which = str(attrs.get("analysis", "")), str(attrs.get("schema_version", ""))
    variables: dict[str, xr.Variable] = {}
    top = h5g.open(file.id, b"/")
    # All of them are checked before a value is read.
    held = {name.decode(): open_data(top, name, path, size) for name in top}
    for name, item in held.items():
        if item is None:
            raise TypeError(f"'{name}' is no data set")
        facts = known.get((*which, name))
        if facts is None or len(facts.dims) != len(item.shape):
            facts = _facts(file, name, file[name])
            if all(which):
                known[(*which, name)] = facts
        if facts.stand_in:
            continue
        coords |= facts.coords
        values = _values(file, name, item)
        if facts.is_bool:
            values = values.astype(bool)
        variables[name] = xr.Variable(facts.dims, values, facts.marks, fastpath=True)
    coords |= {name for name, v in variables.items() if v.dims == (name,)}
    inner = {name: v for name, v in variables.items() if name in coords}
    rest = {name: v for name, v in variables.items() if name not in inner}
    return xr.Dataset(rest, coords=inner, attrs=attrs)


def _values(file: h5py.File, name: str, item: h5py.h5d.DatasetID) -> NDArray[Any]:
    if item.dtype.kind == "O":
        return np.asarray(file[name].asstr()[()]).astype(str)
    return read_numbers(item)


def _facts(file: h5py.File, name: str, item: h5py.Dataset) -> _Facts:
    held = item.attrs
    present = set(held)
    if "NAME" in present and held["NAME"].startswith(_STAND_IN):
        return _Facts((name,), stand_in=True)
    coords = frozenset(_text(held["coordinates"]).split()) if "coordinates" in present else frozenset()
    marks = {key: _value(held[key]) for key in held if key not in _LAYOUT}
    is_bool = marks.get("dtype") == "bool"
    if is_bool:
        del marks["dtype"]
    return _Facts(_dims(file, name, item, present), marks, coords, is_bool=is_bool)


def _dims(file: h5py.File, name: str, item: h5py.Dataset, present: set[str]) -> tuple[str, ...]:
    from h5py import h5r

    if "DIMENSION_LIST" not in present:
        return (name,) if item.ndim else ()
    listed = item.attrs["DIMENSION_LIST"]
    return tuple(h5r.get_name(scales[0], file.id).decode().lstrip("/") for scales in listed)


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

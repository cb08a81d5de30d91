"""Datasets as HDF5 in the netCDF-4 layout, written by h5py alone: several times quicker than by xarray.

What the layout asks for: each dimension is a dimension scale (its coordinate, or an empty stand-in), every
variable is attached to the scales of its dimensions, and truth values are bytes marked as such.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py
    import xarray as xr

__all__ = ["WRITTEN_HERE", "image", "text_type", "types_of", "write_group"]

# The words of netCDF-4 itself, by which all readers tell a bare dimension from a variable.
_STAND_IN = "This is a netCDF dimension but not a netCDF variable.{:>10}"
WRITTEN_HERE = "version=2,landscape=1"
"""Marks files of this layout."""


def image(ds: xr.Dataset) -> bytes:
    """The bytes of a file that holds one dataset.

    Raises:
        TypeError: If a value is neither a number, nor a truth value, nor a string.
    """
    import h5py

    with h5py.File("in memory", "w", driver="core", backing_store=False, track_order=True) as file:
        _set(file.id, "_NCProperties", WRITTEN_HERE)
        write_group(file, ds)
        file.flush()
        data: bytes = file.id.get_file_image()
    return data


def write_group(group: h5py.Group, ds: xr.Dataset) -> None:
    """Write a dataset into an empty group of an open file.

    Raises:
        TypeError: If a value is neither a number, nor a truth value, nor a string.
    """
    import xarray as xr
    from h5py import h5ds

    variables, attributes = xr.conventions.encode_dataset_coordinates(ds)
    stored = {str(name): _create(group, str(name), v.values, v.attrs) for name, v in variables.items()}
    scales = {}
    for number, (dimension, size) in enumerate(ds.sizes.items()):
        name = str(dimension)
        own = name in stored and variables[name].dims == (name,)
        scale = stored[name] if own else _stand_in(group, name, size)
        _make_scale(scale, name if own else _STAND_IN.format(size), number)
        scales[dimension] = scale
    for name, variable in variables.items():
        if variable.dims != (name,):
            for axis, dimension in enumerate(variable.dims):
                h5ds.attach_scale(stored[str(name)], scales[dimension], axis)
    for key, value in attributes.items():
        _set(group.id, str(key), value)


def _create(
    group: h5py.Group, name: str, values: NDArray[Any], attrs: Mapping[str, Any]
) -> h5py.h5d.DatasetID:
    from h5py import h5s

    kind = values.dtype.kind
    marks: dict[str, Any] = dict(attrs)
    # netCDF has no truth values: bytes with a mark, as xarray writes them, which reads them back as such.
    if kind == "b":
        values, marks = values.astype(np.int8), {**marks, "dtype": "bool"}
    elif kind in "UO":
        if kind == "O" and not all(isinstance(v, str) for v in values.flat):
            raise TypeError(f"variable '{name}' holds objects that are not strings")
        values = values.astype(text_type())
    elif kind not in "iuf":
        raise TypeError(
            f"variable '{name}' holds {values.dtype}, neither numbers nor truth values nor strings"
        )
    variable = _empty(group, name, values.shape, values.dtype)
    variable.write(h5s.ALL, h5s.ALL, np.asarray(values, order="C"))
    for key, value in marks.items():
        _set(variable, key, value)
    return variable


def _stand_in(group: h5py.Group, name: str, size: int) -> h5py.h5d.DatasetID:
    """The scale of a dimension without coordinate; it takes no space."""
    if name in group:
        raise TypeError(f"'{name}' is both a dimension and a variable of other dimensions")
    # The type that the netCDF library gives such a scale.
    return _empty(group, name, (size,), np.dtype(">f4"))


def _make_scale(variable: h5py.h5d.DatasetID, name: str, number: int) -> None:
    from h5py import h5ds

    h5ds.set_scale(variable, name.encode())
    _set(variable, "_Netcdf4Dimid", np.int32(number))


# What h5py's general way of making data sets and attributes does for these few kinds of them, without its
# detours, which take most of the time: a result has a hundred of them.


def _empty(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> h5py.h5d.DatasetID:
    """A data set without values, which keeps its attributes in order."""
    from h5py import h5d

    made: h5d.DatasetID = h5d.create(
        group.id, name.encode(), types_of(dtype)[0], _space(shape), dcpl=_in_order()
    )
    return made


def _set(place: h5py.h5g.GroupID | h5py.h5d.DatasetID, name: str, value: Any) -> None:
    """Set an attribute that is not there; texts as netCDF-4 stores them."""
    from h5py import h5a

    if isinstance(value, bool | np.bool_):
        raise TypeError(f"attribute '{name}' is a truth value, which netCDF does not know")
    array = np.asarray(value)
    # netCDF knows no attribute without an axis, but for texts.
    array = array.astype(object).astype(text_type()) if array.dtype.kind in "UO" else np.atleast_1d(array)
    kind, held = types_of(array.dtype)
    attribute = h5a.create(place, name.encode(), kind, _space(array.shape))
    attribute.write(np.asarray(array, order="C"), mtype=held)


@functools.cache
def text_type() -> np.dtype[Any]:
    """The type of texts of any length."""
    import h5py

    dtype: np.dtype[Any] = h5py.string_dtype()
    return dtype


def types_of(dtype: np.dtype[Any]) -> tuple[h5py.h5t.TypeID, h5py.h5t.TypeID]:
    """HDF5's types of a type, in a file and in memory."""
    # Texts are objects with a mark, to which equality is blind.
    return _made_types(dtype if dtype.kind != "O" else None)


@functools.cache
def _made_types(dtype: np.dtype[Any] | None) -> tuple[h5py.h5t.TypeID, h5py.h5t.TypeID]:
    from h5py import h5t

    asked = text_type() if dtype is None else dtype
    return h5t.py_create(asked, logical=True), h5t.py_create(asked)


@functools.lru_cache(maxsize=256)
def _space(shape: tuple[int, ...]) -> h5py.h5s.SpaceID:
    """HDF5's description of a shape, of which a result needs the same few a hundred times."""
    from h5py import h5s

    made: h5s.SpaceID = h5s.create_simple(shape)
    return made


@functools.cache
def _in_order() -> h5py.h5p.PropDCID:
    """How data sets are made."""
    from h5py import h5p

    made: h5p.PropDCID = h5p.create(h5p.DATASET_CREATE)
    made.set_obj_track_times(False)
    made.set_attr_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
    return made

"""Consolidation: all results of a zoo in one HDF5 file, one group per section and model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape.errors import StoreError, said_by_system, suggest
from landscape.store.contents import located
from landscape.store.digest import check_once, checked, seal
from landscape.store.files import replacing
from landscape.store.store import Store
from landscape.store.within import check_group

__all__ = ["consolidate", "read_field"]

_NUMBER = "_Netcdf4Dimid"


def consolidate(store: Store, on_left_out: Callable[[str], None] = lambda sentence: None) -> Path:
    """Copy every readable result of the last run into ``zoo.h5``; damaged ones are left out.

    Args:
        store: The store.
        on_left_out: Told of each result that is left out, and why, in one sentence.

    Returns:
        The file, with a group ``/<label>/<model>`` for each result, which
        ``xarray.open_dataset(path, group="label/model")`` opens.

    Raises:
        StoreError: If it cannot be written; a former ``zoo.h5`` stays as it was.
    """
    import h5py

    name, entries = located(store)
    with store.writing() as within, replacing(store.consolidated, within=within) as temporary:
        try:
            with h5py.File(temporary, "w") as target:
                target.attrs["zoo"] = name
                numbers = count()
                for entry in entries:
                    try:
                        _copy(entry.path, target, f"{entry.label}/{entry.subject}", entry.attrs, numbers)
                    except StoreError as error:
                        place = f"{entry.label} of {entry.subject}"
                        on_left_out(f"{place} is left out of '{store.consolidated}': {error}")
            seal(temporary)
        except (OSError, RuntimeError) as error:  # HDF5 reports a full disk as either
            said = said_by_system(error) or "HDF5 failed to make it"
            raise StoreError(f"'{store.consolidated}' cannot be written: {said}.") from error
    return store.consolidated


def read_field(path: Path, label: str, name: str) -> dict[str, NDArray[Any]]:
    """One variable of all results of a section, from a consolidated file, at the speed of the disk.

    What was done after the last consolidation (a run consolidates when it ends) is not in it yet.

    Args:
        path: The file, `Store.consolidated`.
        label: The section.
        name: The variable.

    Returns:
        Values by subject, in the order of their names; results without the variable are left out.

    Raises:
        StoreError: If there is no such file, since nothing was consolidated yet, or no such section.
    """
    import h5py

    try:
        check_once(path)
        with h5py.File(path, "r", locking=False) as file:
            if label not in file:
                raise StoreError(f"'{path}' has no section '{label}'; {suggest(label, file)}")
            check_group(file, path, label, depth=2)
            section = file[label]
            found = ((subject, _values(section, f"{subject}/{name}")) for subject in section)
            return {subject: values for subject, values in found if values is not None}
    except StoreError:
        raise
    except OSError as error:
        said = said_by_system(error)
        wrong = f"cannot be read: {said}" if said else "is truncated or damaged"
        raise StoreError(f"'{path}' {wrong}.") from error


def _values(section: Any, place: str) -> NDArray[Any] | None:
    """A variable of a consolidated file, without the detours of h5py's general way; ``None`` if absent."""
    from h5py import h5d, h5s

    try:
        variable = h5d.open(section.id, place.encode())
    except KeyError:
        return None
    if variable.dtype.kind not in "iuf":
        return np.asarray(section[place].asstr()[()], dtype=object)
    values = np.empty(variable.shape, variable.dtype)
    variable.read(h5s.ALL, h5s.ALL, values)
    return values.astype(bool) if _is_bool(section, place, variable) else values


def _is_bool(section: Any, place: str, variable: Any) -> bool:
    """Whether bytes stand for truth values."""
    return bool(variable.dtype == np.int8 and section[place].attrs.get("dtype") == "bool")


def _copy(path: Path, target: Any, group: str, attrs: dict[str, str], numbers: Iterator[int]) -> None:
    import h5py

    try:
        source = h5py.File(h5py.h5f.open_file_image(checked(path)))
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"'{path}' is truncated or damaged.") from error
    with source:
        check_group(source, path)
        source.copy(source["/"], target, group)
        copied = target[group]
        _relink(source, copied)
        _renumber(copied, numbers)
        for key, value in attrs.items():
            if copied.attrs.get(key) != value:
                copied.attrs[key] = value


def _renumber(group: Any, numbers: Iterator[int]) -> None:
    """Give the dimensions of a group numbers that no other group has.

    The netCDF library takes equal ones for one dimension, and reads as many values as that is long.
    """
    known = {name: item.attrs[_NUMBER] for name, item in group.items() if _NUMBER in item.attrs}
    for name in sorted(known, key=lambda name: int(np.ravel(known[name])[0])):
        group[name].attrs.modify(_NUMBER, np.full_like(known[name], next(numbers)))


def _relink(source: Any, target: Any) -> None:
    """Attach the copied variables to the copied dimension scales: HDF5 copies no references."""
    from h5py import h5a, h5ds, h5r

    variables = {name: target[name].id for name in target}
    axes = {
        name: [[h5r.get_name(ref, source.id).rpartition(b"/")[2].decode() for ref in refs] for refs in found]
        for name in variables
        if (found := source[name].attrs.get("DIMENSION_LIST")) is not None
    }
    for variable in variables.values():
        for attribute in (b"DIMENSION_LIST", b"REFERENCE_LIST"):
            if h5a.exists(variable, attribute):
                h5a.delete(variable, attribute)
    for name, dimensions in axes.items():
        for axis, scales in enumerate(dimensions):
            for scale in scales:
                h5ds.attach_scale(variables[name], variables[scale], axis)

"""Consolidation: all results of a zoo in one HDF5 file, one group per section and model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape.errors import StoreError, said_by_system, suggest
from landscape.store.contents import Located, located
from landscape.store.digest import check, check_once, checked, seal, seal_of
from landscape.store.files import replacing
from landscape.store.held import Held, places_in, state_of
from landscape.store.store import Store
from landscape.store.within import check_group, open_all, read_numbers
from landscape.text import foreign

__all__ = ["consolidate", "read_field"]

_NUMBER = b"_Netcdf4Dimid"
_LEAST_SHARE = 0.75  # of what the file holds, and of all that was ever written to it, that must stay


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
    with store.writing() as within:
        with replacing(store.consolidated, within=within) as temporary:
            held = _former(store, entries, temporary)
            try:
                with h5py.File(temporary, "r+" if held.groups else "w") as target:
                    target.attrs["zoo"] = name
                    _bring(target, entries, held, store, on_left_out)
                held.file = seal(temporary)
            except (OSError, RuntimeError) as error:  # HDF5 reports a full disk as either
                said = said_by_system(error) or "HDF5 failed to make it"
                raise StoreError(f"'{store.consolidated}' cannot be written: {said}.") from error
        held.remember(store, within)
    return store.consolidated


def _bring(
    target: Any, entries: list[Located], held: Held, store: Store, on_left_out: Callable[[str], None]
) -> None:
    """Make a consolidated file hold the entries: those of former results go, those that are missing come."""
    wanted = {f"{entry.label}/{entry.subject}": entry for entry in entries}
    for place in [p for p in held.groups if p not in wanted]:
        held.drop(target, place)
    for place, entry in wanted.items():
        try:
            state = state_of(entry)
            if held.groups.get(place) == state:
                continue
            held.drop(target, place)
            _copy(entry.path, target, place, entry.attrs, held)
            held.groups[place] = state
            held.made += 1
        except (StoreError, FileNotFoundError) as error:
            text = str(error) if isinstance(error, StoreError) else f"'{entry.path}' is gone."
            on_left_out(f"{entry.label} of {entry.subject} is left out of '{store.consolidated}': {text}")


def _former(store: Store, entries: list[Located], temporary: Path) -> Held:
    """What of the former file can stay, which is copied then; nothing if it is damaged or mostly holes."""
    former = store.consolidated
    held = Held.of(store)
    wanted = {f"{entry.label}/{entry.subject}": entry for entry in entries}
    try:
        stays = [p for p, state in held.groups.items() if p in wanted and state_of(wanted[p]) == state]
        # What is dropped leaves its place empty: with many such it is made anew.
        if not stays or len(stays) < _LEAST_SHARE * max(len(held.groups), held.made):
            return Held()
        shutil.copyfile(former, temporary)
        # The copy is looked at: what another program does to the former file from here on is not in it.
        is_ours = check(temporary) and seal_of(temporary) == held.file
        if not is_ours or places_in(temporary) != set(held.groups):
            return Held()
    except (OSError, StoreError, ValueError, RuntimeError):
        return Held()
    return held


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
    from h5py import h5d

    try:
        variable = h5d.open(section.id, place.encode())
    except KeyError:
        return None
    if variable.dtype.kind not in "iuf":
        return np.asarray(section[place].asstr()[()], dtype=object)
    values = read_numbers(variable)
    return values.astype(bool) if _is_bool(section, place, variable) else values


def _is_bool(section: Any, place: str, variable: Any) -> bool:
    """Whether bytes stand for truth values."""
    return bool(variable.dtype == np.int8 and section[place].attrs.get("dtype") == "bool")


def _copy(path: Path, target: Any, group: str, attrs: dict[str, str], held: Held) -> None:
    import h5py
    from h5py import h5d, h5g

    try:
        data = checked(path)
        source = h5py.File(h5py.h5f.open_file_image(data))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(f"'{path}' is truncated or damaged.") from error
    with source:
        top = h5g.open(source.id, b"/")
        found = {n: item.data for n, item in open_all(top, path, len(data)).items() if item is not None}
        axes = _axes(found, path)
        source.copy(source["/"], target, group)
        copied = target[group]
        variables = {name: h5d.open(copied.id, name) for name in found}
        _relink(axes, variables)
        held.number = _renumber(variables.values(), held.number)
        for key, value in attrs.items():
            if copied.attrs.get(key) != value:
                copied.attrs[key] = value


def _renumber(variables: Iterable[Any], first: int) -> int:
    """Give the dimensions of a group numbers from ``first`` on, which no other group has; return the next.

    The netCDF library takes equal ones for one dimension, and reads as many values as that is long.
    """
    from h5py import h5a

    known = []
    for variable in variables:
        if h5a.exists(variable, _NUMBER):
            attribute = h5a.open(variable, _NUMBER)
            value = np.empty(attribute.shape, attribute.dtype)
            attribute.read(value)
            known.append((int(value.reshape(-1)[0]), attribute, value))
    for new, (_, attribute, value) in enumerate(sorted(known, key=lambda one: one[0]), first):
        value[...] = new
        attribute.write(value)
    return first + len(known)


def _axes(sources: Mapping[bytes, Any], path: Path) -> list[tuple[bytes, int, bytes]]:
    """Which scale each axis of each variable is attached to.

    Raises:
        StoreError: If one is not right below the top, where those of results are.
    """
    from h5py import h5a, h5ds, h5i

    axes: list[tuple[bytes, int, bytes]] = []
    for name, source in sources.items():
        if not h5a.exists(source, b"DIMENSION_LIST"):
            continue
        for axis in range(source.rank):
            for scale in (h5i.get_name(scale) for scale in _scales(h5ds, source, axis)):
                if scale is None or scale[1:] not in sources:
                    shown = foreign(name.decode("utf-8", "replace"), 80)
                    raise StoreError(f"'{path}': a dimension of '{shown}' is not beside it.")
                axes.append((name, axis, scale[1:]))
    return axes


def _relink(axes: Iterable[tuple[bytes, int, bytes]], variables: Mapping[bytes, Any]) -> None:
    """Attach the copied variables to the copied dimension scales: HDF5 copies no references."""
    from h5py import h5a, h5ds

    for variable in variables.values():
        for attribute in (b"DIMENSION_LIST", b"REFERENCE_LIST"):
            if h5a.exists(variable, attribute):
                h5a.delete(variable, attribute)
    for name, axis, scale in axes:
        h5ds.attach_scale(variables[name], variables[scale], axis)


def _scales(h5ds: Any, source: Any, axis: int) -> list[Any]:
    found: list[Any] = []
    if h5ds.get_num_scales(source, axis):
        h5ds.iterate(source, axis, found.append)
    return found

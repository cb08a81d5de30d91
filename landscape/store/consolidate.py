"""Consolidation: all results of a zoo in one HDF5 file, one group per section and model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import StoreError
from landscape.store.contents import located
from landscape.store.files import replacing

if TYPE_CHECKING:
    from landscape.store.store import Store

__all__ = ["consolidate"]


def consolidate(store: Store) -> Path:
    """Copy every readable result into ``zoo.h5``; damaged ones are left out.

    Returns:
        The file. Each group opens with ``xarray.open_dataset(path, group="label/model")``.

    Raises:
        StoreError: If it cannot be written.
    """
    import h5py

    name, entries = located(store)
    with replacing(store.consolidated) as temporary:
        try:
            with h5py.File(temporary, "w") as target:
                target.attrs["zoo"] = name
                for entry in entries:
                    _copy(entry.path, target, f"{entry.label}/{entry.subject}", entry.attrs)
        except (OSError, RuntimeError) as error:  # HDF5 reports a full disk as either
            raise StoreError(f"'{store.consolidated}' cannot be written: {error}.") from error
    return store.consolidated


def _copy(path: Path, target: Any, group: str, attrs: dict[str, str]) -> None:
    import h5py

    try:
        source = h5py.File(path, "r")
    except OSError:
        return
    with source:
        source.copy(source["/"], target, group)
        _relink(source, target[group])
        for key, value in attrs.items():
            target[group].attrs[key] = value


def _relink(source: Any, target: Any) -> None:
    """Attach the copied variables to the copied dimension scales: HDF5 copies no references."""
    scales = {
        name: [[source[ref].name.rsplit("/", 1)[-1] for ref in refs] for refs in axes]
        for name, variable in source.items()
        if (axes := variable.attrs.get("DIMENSION_LIST")) is not None
    }
    for variable in target.values():
        for attribute in ("DIMENSION_LIST", "REFERENCE_LIST"):
            if attribute in variable.attrs:
                del variable.attrs[attribute]
    for name, axes in scales.items():
        for axis, names in enumerate(axes):
            for scale in names:
                target[name].dims[axis].attach_scale(target[scale])

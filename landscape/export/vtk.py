"""VTK files: surfaces for ParaView, in the legacy text format that needs no library to write."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from landscape.errors import InputError, suggest
from landscape.store.files import write_bytes
from landscape.text import foreign

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write_vtk"]

Array = NDArray[np.float64]


def write_vtk(
    ds: xr.Dataset,
    path: str | Path,
    height: str = "loss",
    scale: Literal["linear", "log"] = "linear",
) -> None:
    """Write a result of ``surface`` as a warped grid, with all its fields on the points.

    Coordinates are those of the dataset, and the height is the value of one field (or its natural
    logarithm); its scale against x and y is for the viewer to set. Values that are not finite keep their
    place among the fields and lie at height 0. Interpolated values of an adaptive surface stand in a
    field of their own, beside ``evaluated`` (0 or 1).

    Args:
        ds: A dataset with dimensions y and x.
        path: A file, usually ``*.vtk``; it is complete or absent.
        height: Name of the field to rise by; ``loss`` rises by ``loss_filled`` where there is one.
        scale: Whether to rise by the value or by its logarithm.

    Raises:
        InputError: If there is no field over x and y, or none of this name.
        StoreError: If the file cannot be written.
    """
    fields = {str(n): v.values for n, v in ds.data_vars.items() if v.dims == ("y", "x")}
    if not fields:
        analysis = ds.attrs.get("analysis", "this analysis")
        raise InputError(f"a result of '{analysis}' has no field over x and y; give one of 'surface'.")
    if height not in fields:
        raise InputError(f"the dataset has no field '{height}' over x and y; {suggest(height, fields)}")
    z = fields["loss_filled" if height == "loss" and "loss_filled" in fields else height].astype(np.float64)
    if scale == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.log(z)
    X, Y = np.meshgrid(ds["x"].values, ds["y"].values)
    points = np.stack([X, Y, np.where(np.isfinite(z), z, 0.0)], axis=-1).reshape(-1, 3)
    # The format allows one line of ASCII, of at most 256 characters.
    title = foreign(f"{ds.attrs.get('analysis', 'surface')} {ds.attrs.get('model', '')}")
    lines = [
        "# vtk DataFile Version 3.0",
        title.encode("ascii", "replace").decode()[:200].strip(),
        "ASCII",
        "DATASET STRUCTURED_GRID",
        f"DIMENSIONS {X.shape[1]} {X.shape[0]} 1",
        f"POINTS {len(points)} double",
        # `repr` is the shortest text that reads back as the same number
        *(" ".join(map(repr, row)) for row in points.tolist()),
        f"POINT_DATA {len(points)}",
    ]
    for name, values in fields.items():
        lines += [f"SCALARS {re.sub(r'[^!-~]', '_', name)} double 1", "LOOKUP_TABLE default"]
        lines += [repr(v) for v in values.astype(np.float64).ravel().tolist()]
    write_bytes(Path(path), ("\n".join(lines) + "\n").encode())

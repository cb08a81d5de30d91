"""Fields of a store as files for viewers of surfaces, one for each model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from landscape.export.vtk import write_vtk
from landscape.store.contents import read_contents
from landscape.store.select import results_of

__all__ = ["save_fields"]


def save_fields(
    store: str | Path, analysis: str, path: str | Path, *, height: str = "loss", models: Sequence[str] = ()
) -> list[Path]:
    """Write the fields of one analysis of a store as VTK files, see `landscape.export.vtk.write_vtk`.

    Args:
        store: Folder of the results.
        analysis: A section of the store, by label or by name of the analysis.
        path: A ``.vtk`` file; of several models, files with the model's name added.
        height: Name of the field to rise by.
        models: Patterns such as ``"vit-*"``; only matching models are written.

    Returns:
        The files written.

    Raises:
        StoreError: If the store cannot be read or a file cannot be written.
        InputError: If the analysis or the models are not there, or the results have no such field.
    """
    path = Path(path)
    _, results = results_of(read_contents(store), analysis, models)
    written = []
    for name, ds in results.items():
        plain = name.replace("/", "_").replace("\\", "_")
        target = path if len(results) == 1 else path.with_stem(f"{path.stem}-{plain}")
        write_vtk(ds, target, height)
        written.append(target)
    return written

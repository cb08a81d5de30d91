"""Models of several stores in one table: of studies, or of zoos that have settings in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError
from landscape.export.frame import table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["pooled"]

RESULTS = "results"
"""Where the output of a study has its stores, one for each kind of data that models were looked at on."""


def pooled(folders: Sequence[str | Path]) -> pd.DataFrame:
    """The models of several stores, or of several outputs of `landscape study`, in one table.

    The stores of one study hold results of the same models on different data: rows of one name whose facts
    and recorded numbers agree are one model. Models of different folders are different ones, and the column
    ``"model: study"`` says whose they are, so that `landscape.generalisation` compares models within each.
    Numbers of one name need not be comparable over studies, which may measure them on other examples.

    Args:
        folders: Folders of stores or of outputs; the name of each is that of its study.

    Returns:
        One row per model, by ``study/model``; columns as of ``landscape.table(store, flat=True)``.

    Raises:
        InputError: If a folder holds no models, or two have one name.
        StoreError: If a store cannot be read.
    """
    import pandas as pd

    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    names = [Path(folder).resolve().name for folder in folders]
    for name, folder in zip(names, folders, strict=True):
        if names.count(name) > 1:
            raise InputError(f"two of the folders are called '{name}', which is to tell studies apart.")
        found = [row for store in _stores(Path(folder)) for row in _rows(store)]
        if not found:
            raise InputError(f"{folder} is neither a store with models nor the output of a study.")
        for model, row in found:
            facts = tuple(
                sorted((k, str(v)) for k, v in row.items() if k.startswith(("model: ", "training: ")))
            )
            rows.setdefault((name, model, facts), {"model: study": name}).update(row)
    index = pd.Index([f"{study}/{model}" for study, model, _ in rows], name="model")
    return pd.DataFrame(list(rows.values()), index=index)


def _stores(folder: Path) -> list[Path]:
    """The stores of an output, or the folder itself."""
    inner = folder / RESULTS
    return sorted(path for path in inner.iterdir() if path.is_dir()) if inner.is_dir() else [folder]


def _rows(store: Path) -> list[tuple[str, dict[str, Any]]]:
    """Models of a store with what is known of each; without what is missing."""
    frame = table(store, flat=True)
    known = (  # NaN alone differs from itself
        {str(name): value for name, value in row.items() if value is not None and value == value}
        for row in frame.to_dict("records")
    )
    return list(zip(frame.index.tolist(), known, strict=True))

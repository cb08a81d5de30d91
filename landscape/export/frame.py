"""A zoo as a table of pandas: one row per model, one column per number that sums up a result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.base.registry import find_recorded
from landscape.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["table"]


def table(store: str | Path, *, flat: bool = False) -> pd.DataFrame:
    """The models of a store with what is known of them and the summary of each analysis.

    Args:
        store: Folder of the results.
        flat: Columns that are texts, ``"spectrum: λ max"`` for such a pair, for files that have no others.

    Returns:
        One row per model. Columns are pairs: ``("model", ...)`` for group, seed and tags, and for how many
        members a predictive has; ``("training", ...)`` for recorded numbers, and ``(section, metric)``. What
        was not measured is missing. It is a table that `landscape.generalisation` takes.

    Raises:
        InputError: If a result is of another version of its analysis' schema.
        StoreError: If the store cannot be read.
    """
    import pandas as pd

    from landscape.store.contents import read_contents

    contents = read_contents(store)
    rows: dict[str, dict[tuple[str, str], Any]] = {}
    for model in contents.models:
        facts = {"group": model.group, "seed": model.seed, **model.tags}
        rows[model.name] = {("model", name): value for name, value in facts.items()}
        if model.members:  # a predictive counts no model twice where rows are compared
            rows[model.name]["model", "members"] = len(model.members)
        rows[model.name] |= {("training", name): value for name, value in model.metrics.items()}
    for section in contents.sections:
        try:
            analysis = find_recorded(section.analysis)
        except InputError:  # not installed here
            continue
        if analysis.scope != "checkpoint":
            continue
        said, _ = analysis.schema.other_version(analysis.name, section.results)
        if said:
            raise InputError(f"{section.label}: {said}.")
        for subject, ds in section.results.items():
            row = rows.setdefault(subject, {("model", "group"): ds.attrs.get("group", "")})
            row |= {(section.label, m.name): m.value for m in analysis.summary(ds)}
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    values = [[row.get(column) for column in columns] for row in rows.values()]
    index = pd.Index(list(rows), name="model")
    if flat:
        return pd.DataFrame(values, index=index, columns=[f"{section}: {name}" for section, name in columns])
    return pd.DataFrame(values, index=index, columns=pd.MultiIndex.from_tuples(columns) if columns else None)

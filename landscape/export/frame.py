"""A zoo as a table of pandas: one row per model, one column per number that sums up a result."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.base.registry import find_recorded
from landscape.base.summaries import Summaries, Value, values_of
from landscape.errors import InputError, StoreError
from landscape.store.files import stamp_of

if TYPE_CHECKING:
    import pandas as pd

    from landscape.base.analysis import Analysis
    from landscape.store.contents import Located
    from landscape.store.fast_read import Known

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

    from landscape.store.contents import outline

    found = outline(store)
    rows: dict[str, dict[tuple[str, str], Any]] = {}
    for model in found.models:
        facts = {"group": model.group, "seed": model.seed, **model.tags}
        rows[model.name] = {("model", name): value for name, value in facts.items()}
        if model.members:  # a predictive counts no model twice where rows are compared
            rows[model.name]["model", "members"] = len(model.members)
        rows[model.name] |= {("training", name): value for name, value in model.metrics.items()}
    summaries = Summaries(found.store)
    seen: Known = {}
    for name, entries in found.sections:
        try:
            analysis = find_recorded(name)
        except InputError:  # not installed here
            continue
        if analysis.scope != "checkpoint":
            continue
        for entry in entries:
            numbers = _metrics(analysis, entry, summaries, seen)
            if numbers is not None:
                if entry.subject not in rows:  # of a model that the zoo does not list
                    rows[entry.subject] = {("model", "group"): _group(entry, seen)}
                row = rows[entry.subject]
                row |= {(entry.label, metric): value for metric, value in numbers.items()}
    with contextlib.suppress(StoreError):  # a store that cannot be written to is read each time
        summaries.write()
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    values = [[row.get(column) for column in columns] for row in rows.values()]
    index = pd.Index(list(rows), name="model")
    if flat:
        return pd.DataFrame(values, index=index, columns=[f"{section}: {name}" for section, name in columns])
    return pd.DataFrame(values, index=index, columns=pd.MultiIndex.from_tuples(columns) if columns else None)


def _group(entry: Located, seen: Known) -> str:
    """The group that a result says that its model is of."""
    from landscape.store.fast_read import read

    return str(read(entry.path, seen).attrs.get("group", ""))


def _metrics(
    analysis: Analysis, entry: Located, summaries: Summaries, seen: Known
) -> dict[str, Value] | None:
    """What sums up a result; ``None`` if it cannot be read.

    Raises:
        InputError: If it is of another version of its analysis' schema.
    """
    from landscape.store.fast_read import read

    folder, key = entry.path.parent.name, entry.path.stem
    try:
        stamp = stamp_of(entry.path)
        known = summaries.get(folder, key, stamp)
        if known is not None:
            return known
        ds = read(entry.path, seen, entry.attrs)
    except (OSError, StoreError):
        return None
    said, _ = analysis.schema.other_version(analysis.name, {entry.subject: ds})
    if said:
        raise InputError(f"{entry.label}: {said}.")
    values = values_of(analysis.summary(ds))
    if summaries.keeps(analysis):
        summaries.put(folder, key, stamp, values)
    return values

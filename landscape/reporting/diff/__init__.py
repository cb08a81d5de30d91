"""Diff: two models of a store, or two groups, held against each other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.reporting.diff.difference import Difference, difference_of

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis

__all__ = ["Difference", "diff", "difference_of"]


def diff(
    store: str | Path, a: str, b: str, *, analyses: Iterable[Analysis | str] = (), zoo: str | None = None
) -> Difference:
    """How two models, or two groups of models, of a store differ.

    Every number that sums up a result is held against the same of the other side, the clearest difference first. The
    interval is 95 %: over models where a side has several (Welch's), over the same examples where results hold a
    number of each (Student's, of pairs), else from the errors that both numbers carry (Zou and Donner 2008).

    Args:
        store: Folder of the results.
        a: A model, a group, or a pattern such as ``"vit-*"``.
        b: Another; differences are b − a.
        analyses: Analyses of your own, as objects or ``package.module:attribute``.
        zoo: Which zoo, by name, of a store that several manifests share.

    Returns:
        The differences: ``changes``, ``layers``, ``examples``, ``sentences()``, ``frame()`` for pandas,
        ``figures()``, and ``save("diff.html")`` for the page.

    Raises:
        StoreError: If the store cannot be read.
        InputError: If one of the two is not there, or they share a model.
    """
    from landscape.store.contents import read_contents

    return difference_of(read_contents(store, zoo), a, b, analyses)

"""Pictures of similarity: layer by layer, model by model, and the tree and the map of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Heatmap, Line, Mark, Points, Series


def matrix(
    name: str,
    title: str,
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    values: Any,
    color: ColorAxis,
    caption: str,
    borders: Sequence[float] = (),
) -> FigureSpec:
    """A matrix as cells; ``rows`` and ``columns`` are (axis label, names), ``borders`` places of lines."""
    x = Axis(columns[0], categories=tuple(str(c) for c in columns[1]))
    y = Axis(rows[0], categories=tuple(str(r) for r in rows[1]))
    marks: list[Mark] = [Heatmap(np.arange(len(columns[1])), np.arange(len(rows[1])), values, color)]
    marks += [Guide(x=at) for at in borders]
    marks += [Guide(y=at) for at in borders]
    return FigureSpec(name, title, x, y, tuple(marks), caption)


def dendrogram(
    name: str, title: str, names: Sequence[str], distance: Any, label: str, unit: str, caption: str
) -> FigureSpec | None:
    """The tree of models by average linkage (UPGMA) of a distance matrix (n, n).

    ``None`` if there are fewer than two models or a distance is not finite. Negative distances, which an
    unbiased similarity above 1 gives, count as 0 for the tree alone.
    """
    from scipy.cluster.hierarchy import dendrogram as arrange
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = np.asarray(distance, dtype=np.float64)
    if len(names) < 2 or not np.isfinite(distance).all():
        return None
    condensed = squareform(np.maximum((distance + distance.T) / 2, 0.0), checks=False)
    tree = arrange(linkage(condensed, "average"), no_plot=True)
    order = tree["leaves"]
    who = Series(label="average linkage")
    # scipy sets leaves at 5, 15, 25, ...
    marks = tuple(
        Line(heights, (np.asarray(places) - 5) / 10, who)
        for places, heights in zip(tree["icoord"], tree["dcoord"], strict=True)
    )
    y = Axis("model", categories=tuple(str(names[i]) for i in order), limits=(-0.5, len(order) - 0.5))
    return FigureSpec(name, title, Axis(label, unit), y, marks, caption)


def model_map(
    name: str, title: str, names: Sequence[str], distance: Any, unit: str, caption: str
) -> FigureSpec | None:
    """Models as points of a plane, apart as in a distance matrix (n, n), by classical scaling.

    ``None`` if there are fewer than three models, or a distance is not finite.
    """
    from landscape.core.stats.classical_scaling import classical_scaling

    found = classical_scaling(np.asarray(distance, dtype=np.float64))
    if len(names) < 3 or not np.isfinite(found.places).all():
        return None
    x, y = (
        Axis(f"{which} coordinate: {share:.0%}", unit)
        for which, share in zip(("first", "second"), found.shares, strict=True)
    )
    marks = tuple(
        Points([place[0]], [place[1]], Series(model=str(who)), texts=(str(who),))
        for who, place in zip(names, found.places, strict=True)
    )
    note = (
        " Places by classical scaling (Torgerson 1952), which keep as much of the squared distances as a"
        " plane can: each axis says its share of their variance; only distances have a meaning."
    )
    return FigureSpec(name, title, x, y, marks, caption + note, equal=True)

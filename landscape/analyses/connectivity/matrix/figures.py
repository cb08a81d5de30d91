"""Figures of ``connectivity``: barrier matrices, the tree of saddles, soups beside their models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from landscape.analyses._shared.captions import data_word, of_data
from landscape.analyses._shared.matrix_figure import matrix
from landscape.analyses.connectivity._profiles import group_loss_unit
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Guide, Line, Mark, Points, Series

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["figures"]

Array = NDArray[np.float64]


def figures(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """For each group, before and after alignment: matrix of barriers and tree; then its soups."""
    specs: list[FigureSpec] = []
    for index, (label, ds) in enumerate(datasets.items()):
        kinds = [str(kind) for kind in ds["alignment"].values]
        color = _color(ds)
        for k, kind in enumerate(kinds):
            specs.append(_matrix(f"barriers_{index}_{k}", f"Loss barriers, {kind}: {label}", ds, k, color))
        specs += [
            _tree(f"tree_{index}_{k}", f"Tree of saddles, {kind}: {label}", ds, k)
            for k, kind in enumerate(kinds)
        ]
        if ds.sizes["soup"]:
            specs.append(_soups(f"soups_{index}", f"Averages of models: {label}", ds))
    return specs


def _color(ds: xr.Dataset) -> ColorAxis:
    """One range for all alignments, so that they can be compared."""
    values = ds["barrier_chord"].sel(split="train", quantity="loss").values
    finite = values[np.isfinite(values)]
    top = float(finite.max()) if finite.size else 0.0
    low = min(0.0, float(finite.min())) if finite.size else 0.0
    return ColorAxis("loss barrier", group_loss_unit(ds), limits=(low, top) if top > low else None)


def _matrix(name: str, title: str, ds: xr.Dataset, k: int, color: ColorAxis) -> FigureSpec:
    names = [str(model) for model in ds["model"].values]
    values = ds["barrier_chord"].sel(split="train", quantity="loss").values[k]
    family = ds["family"].values
    unlike = len(set(family.tolist())) > 1
    apart = " Empty: models of unlike architecture, which no path of weights joins." if unlike else ""
    return matrix(
        name,
        title,
        ("model", names),
        ("model", names),
        values,
        color,
        f"Largest gap of the {of_data({'': ds})} on the straight line to the line between its end values, on"
        f" {int(ds['examples'][0])} examples. BatchNorm: {ds['batchnorm_policy'].item()}.{apart}",
    )


def _tree(name: str, title: str, ds: xr.Dataset, k: int) -> FigureSpec:
    """Models at their own loss, joined at the saddle between them."""
    from landscape.core.connectivity.single_linkage import saddle_tree

    saddles = ds["saddle"].sel(split="train", quantity="loss").values[k]
    own = ds["model_loss"].sel(split="train").values
    tree = saddle_tree(saddles)
    place = {model: float(position) for position, model in enumerate(tree.order)}
    height = {model: float(loss) for model, loss in enumerate(own)}
    stems = Series(label="joined at their saddle")
    marks: list[Mark] = []
    for merge in tree.merges:
        first, second = merge.first[0], merge.second[0]
        x = [height[first], merge.saddle, merge.saddle, height[second]]
        y = [place[first], place[first], place[second], place[second]]
        marks.append(Line(x, y, stems))
        # the merged cluster goes on under the first model of the joined tuple
        place[first], height[first] = (place[first] + place[second]) / 2, merge.saddle
    names = [str(ds["model"].values[model]) for model in tree.order]
    texts = tuple(f"{n}: loss {own[m]:.4g}" for n, m in zip(names, tree.order, strict=True))
    leaves = [own[model] for model in tree.order]
    marks.append(Points(leaves, np.arange(len(leaves)), Series(label="loss of the model"), texts=texts))
    return FigureSpec(
        name,
        title,
        Axis(of_data({"": ds}), group_loss_unit(ds), limits=_reach(ds)),
        Axis("model", categories=tuple(names), limits=(-0.5, len(names) - 0.5)),
        tuple(marks),
        f"Each model at its own {of_data({'': ds})}; clusters join at the lowest of the highest losses on the"
        " straight lines between their models (single linkage, minimum spanning forest).",
    )


def _reach(ds: xr.Dataset) -> tuple[float, float] | None:
    """One range of losses for the trees of all alignments."""
    losses = ds["saddle"].sel(split="train", quantity="loss").values
    losses = losses[np.isfinite(losses)]
    if not losses.size or not np.ptp(losses):
        return None
    room = 0.05 * float(np.ptp(losses))
    return float(losses.min()) - room, float(losses.max()) + room


def _soups(name: str, title: str, ds: xr.Dataset) -> FigureSpec:
    """Error of every model and every average, on all data."""
    names = [*(str(n) for n in ds["model"].values), *(str(n) for n in ds["soup"].values)]
    marks: list[Mark] = []
    what, unit = ("error", "%")
    if not np.isfinite(ds["model_error"].values).any():
        what, unit = "loss", group_loss_unit(ds)
    for split, symbol in zip(ds["split"].values.astype(str), ("circle", "diamond"), strict=False):
        values = np.concatenate([ds[f"{n}_{what}"].sel(split=split).values for n in ("model", "soup")])
        place = np.arange(len(names))
        marks.append(
            Points(values, place, Series(split, label=data_word(ds, split)), symbols=(symbol,) * len(names))
        )
    marks.append(Guide(y=ds.sizes["model"] - 0.5))
    return FigureSpec(
        name,
        title,
        Axis(what, unit),
        Axis("model or average", categories=tuple(names), limits=(-0.5, len(names) - 0.5)),
        tuple(marks),
        "Below the line the models themselves, above it averages of their weights; aligned averages after"
        f" alignment to the first model. BatchNorm: {ds['batchnorm_policy'].item()}.",
    )

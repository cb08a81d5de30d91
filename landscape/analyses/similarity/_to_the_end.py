"""How far each layer is, over training, from what it will be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from landscape.analyses._shared.matrix_figure import matrix
from landscape.base.figure import ColorAxis, FigureSpec
from landscape.trainings import PROGRESS

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["to_the_end"]


def to_the_end(index: int, label: str, ds: xr.Dataset, note: str) -> list[FigureSpec]:
    """CKA of each layer with itself at the last checkpoint, over training (Raghu et al. 2017, section 4.2).

    Nothing unless the models are three checkpoints or more of one training, told apart by epoch or step
    alone, of the same layers.

    Args:
        index: Place of the result, for the name of the figure.
        label: Name of the result.
        ds: A result of ``cka``.
        note: End of the caption.
    """
    tags = json.loads(str(ds.attrs.get("member_tags", "{}")))
    names = [str(name) for name in ds["model"].values]
    own = [dict(tags.get(name, {})) for name in names]
    for progress in PROGRESS:
        found = [t.get(progress) for t in own]
        others = {json.dumps({k: v for k, v in t.items() if k not in PROGRESS}, sort_keys=True) for t in own}
        at = [float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(others) == 1 and len(set(at)) == len(names) > 2:
            break
    else:
        return []
    order = sorted(range(len(at)), key=at.__getitem__)
    models, layers = ds["model_a"].values, ds["layer_a"].values
    units = {name: np.flatnonzero(models == name) for name in names}
    last = units[names[order[-1]]]
    if any(list(layers[units[name]]) != list(layers[last]) for name in names):
        return []
    value = ds["cka"].values
    alike = np.array([value[units[names[i]], last] for i in order]).T
    # In firing order, so that a reader sees whether early layers settle first.
    return [
        matrix(
            f"to_the_end_{index}",
            f"CKA of each layer with its end: {label}",
            ("layer", [str(name) for name in layers[last]]),
            (progress, [f"{at[i]:g}" for i in order]),
            alike,
            ColorAxis("CKA", limits=(0.0, 1.0)),
            f"Each layer against itself at the last {progress}, which is 1 by definition. {note}",
        )
    ]

"""``connect``: the loss along paths between two models, and its barriers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from landscape.analyses._shared.captions import loss_unit, of_data
from landscape.analyses.connectivity.connect.figures import figures
from landscape.analyses.connectivity.connect.options import ConnectParams, epoch_passes
from landscape.analyses.connectivity.connect.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric, Pair

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ConnectParams", "connect"]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Barriers of every path on the problem's data, whether they exceed the noise, and test error."""
    unit = loss_unit({"": ds})
    metrics = []
    for name in ds["path"].values.astype(str):
        part = ds.sel(path=name, split="train")
        loss = part.sel(quantity="loss")
        metrics += [
            Metric(
                f"{name}: loss barrier",
                float(loss["barrier_chord"]),
                unit,
                f"largest gap of the {of_data({'': ds})} to the chord (Entezari et al. 2022)",
            ),
            Metric(
                f"{name}: p",
                float(loss["p_value"]),
                "1",
                "p-value of no barrier: the loss is nowhere above the chord",
            ),
            Metric(
                f"{name}: error barrier",
                float(part.sel(quantity="error")["barrier_chord"]),
                "%",
                f"largest gap of the {of_data({'': ds}, 'error')} to the chord, percentage points",
            ),
        ]
    ratio = float(ds["arc_ratio"][-1])
    if ds.sizes["path"] > 1:
        metrics.append(Metric("arc ratio", ratio, "1", "arc length of the last path over its chord"))
    return metrics


def _cost(params: ConnectParams) -> Cost:
    per_point = 1.0 if params.batchnorm in ("checkpoint", "batch", "interpolate") else 2.0
    paths = 1 + (params.align is not None) + (params.method != "linear")
    points = paths * (params.steps + 2 * params.refine)
    training = params.epochs * epoch_passes(params) / 3.0 if params.method != "linear" else 0.0
    plane = params.plane**2 if params.method != "linear" else 0
    return Cost(forwards=(points + plane) * per_point + 2.0, gradients=training)


def _compute(pair: Pair, params: ConnectParams, context: Context) -> Mapping[str, Any]:
    from landscape.analyses.connectivity.connect.compute import compute

    return compute(pair, params, context)


connect = Analysis(
    name="connect",
    title="Paths between two models",
    description=(
        "Loss and error along the straight line between two models, along the line after b's units were put"
        " in the order of a's (Ainsworth et al. 2023), and along a trained curve: a Bézier curve or polygonal"
        " chain (Garipov et al. 2018) or a nudged elastic band (Draxler et al. 2018). Every definition of a"
        " barrier in use is stored under its own name, for the loss, the data loss and the error, on training"
        " and held-out data, with 95 % bootstrap intervals over examples, paired along the path, and a test"
        " of no barrier that pays for having looked at many points. Points are added beside the largest gap."
        " BatchNorm statistics are pooled anew at each point unless asked otherwise (also REPAIR, Jordan et"
        " al. 2023)."
    ),
    scope="pair",
    params=ConnectParams,
    schema=SCHEMA,
    compute=_compute,
    plots=figures,
    summary=summary,
    cost=_cost,
    inputs=("test_data",),
)

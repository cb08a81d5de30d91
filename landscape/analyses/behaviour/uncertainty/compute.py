"""How ``uncertainty`` is computed: one pass for each shift and intensity, one for the unchanged images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses.behaviour._answers import record
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.analyses.behaviour.uncertainty.options import UncertaintyParams
    from landscape.base.analysis import Context
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]


def compute(problem: Problem, params: UncertaintyParams, context: Context) -> Mapping[str, Any]:
    """Predict on the unchanged images, then on each shift at each intensity, then on other data."""
    from landscape.core.behaviour.corruptions import CORRUPTIONS, corrupt_by
    from landscape.core.behaviour.drawn import MEASURES, predict_draws
    from landscape.core.behaviour.perturbations import PixelScale, changed_batches, image_shape
    from landscape.core.behaviour.shift_scores import ShiftScores, detection, pooled, ranked

    channels = image_shape(problem)[0]
    scale = PixelScale.of(problem, params.mean, params.std)
    others = _other_data(params, context)
    samples, seed = params.samples or None, params.seed
    coverage = np.arange(1, params.coverage + 1) / params.coverage
    amounts = np.array([[0.0, *(params.intensities or CORRUPTIONS[kind].amounts)] for kind in params.shifts])
    done, passes = 1, 1 + amounts[:, 1:].size + len(others)
    clean = predict_draws(problem, samples=samples, seed=seed)
    unchanged = ShiftScores(clean, params.bins, params.bootstrap, seed)
    first: dict[str, Any] = {**unchanged.numbers(unchanged), **ranked([clean], coverage)}
    context.progress(done / passes)
    cells, together = [], []
    for row, kind in enumerate(params.shifts):
        made, numbers = [clean], [first]
        for amount in amounts[row, 1:]:
            change = corrupt_by(kind, float(amount), seed, clip=params.clip)
            # once more for labels of pixels: each draws the same numbers from its start
            moves = CORRUPTIONS[kind].moves
            labels = corrupt_by(kind, float(amount), seed, clip=params.clip) if moves else None
            batches = changed_batches(problem, scale, change, labels)
            made.append(predict_draws(problem, batches, samples=samples, seed=seed))
            scores = ShiftScores(made[-1], params.bins, params.bootstrap, seed)
            numbers.append({**scores.numbers(unchanged), **ranked(made[-1:], coverage)})
            done += 1
            context.progress(done / passes)
        cells.append(numbers)
        together.append(pooled(made))
    data = {name: np.array([[cell[name] for cell in row] for row in cells]) for name in first}
    data |= {name: np.moveaxis(data[name], -1, 0) for name in data if name.endswith("_interval")}
    data |= {name: np.array([row[name] for row in together]) for name in together[0]}
    if others:
        data |= {"ood": np.array(list(others))}
        data |= detection(problem, clean, others, samples=samples, seed=seed)
    context.progress(1.0)
    return {
        **data,
        "shift": np.array(params.shifts),
        "intensity": np.array([0.0, *(params.intensities or range(1, 6))]),
        "by": np.array(MEASURES),
        "coverage": coverage,
        "bound": np.array(["low", "high"]),
        "channel": np.arange(channels),
        "amount_unit": np.array([CORRUPTIONS[kind].unit for kind in params.shifts]),
        "amount": amounts,
        "severities": not params.intensities,
        "pixel_mean": np.array(scale.mean),
        "pixel_std": np.array(scale.std),
        "draws": clean.draws,
        "examples": clean.mixture.count,
        **record(clean.mixture),
    }


def _other_data(params: UncertaintyParams, context: Context) -> dict[str, Any]:
    """Data of other distributions by name."""
    from landscape.core.behaviour.ood import load_data

    given = context.inputs.get("ood")
    if given is not None and params.ood_data:
        raise InputError("uncertainty takes either the input ood or the option ood_data, not both.")
    if given is not None:
        return dict(given) if isinstance(given, Mapping) else {"ood": given}
    short = [reference.rpartition(":")[2] for reference in params.ood_data]
    names = short if len(set(short)) == len(short) else params.ood_data
    return {name: load_data(ref) for name, ref in zip(names, params.ood_data, strict=True)}

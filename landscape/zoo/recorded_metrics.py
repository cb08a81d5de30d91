"""Metrics recorded in training, measured again: do checkpoint, model and data belong together?

Numbers are compared only if the manifest says which split its data are, and only with metrics that are
recorded for that split.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from landscape.core.problem.problem import Measure

__all__ = ["Quantity", "comparable", "differences", "meaning"]

Quantity = Literal["accuracy", "error", "loss"]

_SPLITS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "eval": "validation",
    "dev": "validation",
    "test": "test",
}
_QUANTITIES: dict[str, Quantity] = {
    "acc": "accuracy",
    "acc1": "accuracy",
    "accuracy": "accuracy",
    "top1": "accuracy",
    "prec1": "accuracy",
    "err": "error",
    "error": "error",
    "loss": "loss",
    "nll": "loss",
}
_TOLERANCE_SE = 4.0  # two-sided 6e-5 for a normal deviate: a thousand models raise no false alarm
_ROUNDING = {"accuracy": 5e-4, "error": 5e-4, "loss": 1e-3}  # of numbers written with few digits


def meaning(name: str) -> tuple[str, Quantity] | None:
    """Split and quantity that the name of a recorded number states; ``None`` if it does not.

    Example:
        >>> meaning("val/acc1"), meaning("test_loss"), meaning("best_acc"), meaning("eval_top5")
        (('validation', 'accuracy'), ('test', 'loss'), None, None)
    """
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w]
    splits = {_SPLITS[w] for w in words if w in _SPLITS}
    quantities = {_QUANTITIES[w] for w in words if w in _QUANTITIES}
    # With any other word the number may be another: best_acc is a maximum over epochs.
    if len(words) != 2 or len(splits) != 1 or len(quantities) != 1:
        return None
    return splits.pop(), quantities.pop()


def comparable(metrics: Mapping[str, float], split: str | None) -> dict[str, Quantity]:
    """The quantity of each metric that was recorded on a split."""
    found = ((name, meaning(name)) for name in metrics)
    return {name: what[1] for name, what in found if what is not None and what[0] == split}


def differences(metrics: Mapping[str, float], split: str, measure: Measure) -> list[str]:
    """A sentence for each recorded metric that the measured one differs from beyond sampling error.

    The sampling error is that of the mean over the examples measured, as if they had been drawn anew: a
    subset of the split is thus no difference. Percentages are recognised where the number exceeds 1.

    Args:
        metrics: Numbers by name, as recorded.
        split: The split that the data are.
        measure: The model on the data.
    """
    found = []
    for name, quantity in comparable(metrics, split).items():
        measured, error = _measured(quantity, measure)
        recorded = metrics[name]
        if quantity != "loss" and recorded > 1.0:
            recorded /= 100.0
        if quantity != "loss" and measure.correct is not None:  # all right has no spread by itself
            binomial = max(0.0, recorded * (1.0 - recorded)) / len(measure.correct)
            error = max(error, math.sqrt(binomial))
        allowed = _TOLERANCE_SE * error + _ROUNDING[quantity]
        if not math.isnan(measured) and not abs(measured - recorded) <= allowed:
            found.append(
                f"{name} was recorded as {recorded:.4g}, but {quantity} on this data is {measured:.4g}"
                f" ± {error:.2g}: {_reason(split)}."
            )
    return found


def _measured(quantity: Quantity, measure: Measure) -> tuple[float, float]:
    """Mean and its standard error; NaN if it cannot be measured."""
    values = measure.losses if quantity == "loss" else measure.correct
    if values is None:
        mean = measure.data_loss if quantity == "loss" else math.nan
        return mean, 0.0
    mean = float(values.mean())
    error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return (1.0 - mean if quantity == "error" else mean), error


def _reason(split: str) -> str:
    if split == "train":
        return "check data and preprocessing, or it is an average over augmented data and changing weights"
    return "check that data, preprocessing, loss and checkpoint belong together"

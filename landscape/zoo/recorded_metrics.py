"""Metrics recorded in training, measured again: do checkpoint, model and data belong together?

Numbers are compared only if the manifest says which split its data are, and only with metrics that are
recorded for that split, or that are an accuracy or error of no split that their name tells (``best_prec1``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from landscape.text import foreign

if TYPE_CHECKING:
    from landscape.core.problem.problem import Measure

__all__ = ["Quantity", "comparable", "differences", "meaning", "not_compared"]

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
_BEST = "best"  # over epochs: it is the checkpoint's own number if that is the one of the best epoch
_SHOWN = 5
_TOLERANCE_SE = 4.0  # two-sided 6e-5 for a normal deviate: a thousand models raise no false alarm
_ROUNDING = {"accuracy": 5e-4, "error": 5e-4, "loss": 1e-3}  # of numbers written with few digits


def meaning(name: str) -> tuple[str, Quantity] | None:
    """Split and quantity that the name of a recorded number states; ``None`` if it does not.

    An accuracy or error without a split is that of the data that a run was judged by: the split is empty. A
    loss without one may be of anything.

    Example:
        >>> meaning("val/acc1"), meaning("test_loss"), meaning("best_acc"), meaning("eval_top5")
        (('validation', 'accuracy'), ('test', 'loss'), ('', 'accuracy'), None)
    """
    words = [w for w in re.split(r"[^a-z0-9]+", name.lower()) if w]
    splits = {_SPLITS[w] for w in words if w in _SPLITS}
    quantities = {_QUANTITIES[w] for w in words if w in _QUANTITIES}
    # With any other word the number may be another.
    others = [w for w in words if w not in _SPLITS and w not in _QUANTITIES and w != _BEST]
    if others or len(splits) > 1 or len(quantities) != 1 or len(words) - words.count(_BEST) > 2:
        return None
    quantity = quantities.pop()
    if not splits:
        return None if quantity == "loss" else ("", quantity)
    return splits.pop(), quantity


def comparable(metrics: Mapping[str, float], split: str | None) -> dict[str, Quantity]:
    """The quantity of each metric that was recorded on a split, or on what none tells otherwise."""
    found = ((name, meaning(name)) for name in metrics)
    return {name: what[1] for name, what in found if what is not None and split and what[0] in (split, "")}


def not_compared(metrics: Mapping[str, float], split: str | None) -> str:
    """What to say of recorded metrics that are not compared; empty if all are.

    Args:
        metrics: Numbers by name, as recorded.
        split: The split that the data are; ``None`` if that is not known.
    """
    known = comparable(metrics, split)
    rest = [name for name in metrics if name not in known]
    if not rest:
        return ""
    shown = ", ".join(foreign(name, 60) for name in rest[:_SHOWN]) + (", ..." if len(rest) > _SHOWN else "")
    if split is None:
        return (
            f'recorded {shown} not compared: say which split the data are (split = "test" under [data], say)'
        )
    return f"recorded {shown} not compared: of other data than the {split} split, or not measured here"


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
                f" ± {error:.2g}: {_reason(split, name)}."
            )
    return found


def _measured(quantity: Quantity, measure: Measure) -> tuple[float, float]:
    """Mean and its standard error; NaN if it cannot be measured."""
    values = measure.spread_losses if quantity == "loss" else measure.spread_correct
    if values is None:
        mean = measure.data_loss if quantity == "loss" else math.nan
        return mean, 0.0
    mean = float(values.mean())
    error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return (1.0 - mean if quantity == "error" else mean), error


def _reason(split: str, name: str) -> str:
    if _BEST in name.lower():
        return "check that data and preprocessing belong to it, and that the checkpoint is of the best epoch"
    if split == "train":
        return "check data and preprocessing, or it is an average over augmented data and changing weights"
    return "check that data, preprocessing, loss and checkpoint belong together"

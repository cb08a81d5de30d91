"""What results say of the kind of classification, the same in every analysis of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.base.schema import Variable
from landscape.core.stats.hypothesis import wilson
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.behaviour.calibration import Predictions

__all__ = ["ANSWERS", "MEANS", "check_same_answers", "counted", "nats", "record", "share_interval"]

ANSWERS = (
    Variable(
        "classification",
        (),
        "what an answer is: classes (one of C), one logit, or labels (a yes or no each), at positions where"
        " an example has one at each of its tokens or pixels; soft targets where these are probabilities",
        "",
        kind="str",
        optional=True,
    ),
    Variable("answers", (), "number of answers that scores are means over", kind="int", optional=True),
)
"""Recorded beside the scores; results of older versions lack them, and hold one of C classes per example."""

MEANS = (
    "What an answer is, the loss decides: one of C classes (cross-entropy) of an example or of each of its"
    " tokens or pixels, or a yes or no (binary cross-entropy) from one logit or for each of several labels,"
    " with the classes no and yes. Scores are means over all answers whose label counts, and errors and"
    " intervals count examples, whose answers depend on one another; a soft target counts as its expectation."
)
"""For descriptions of analyses."""


def check_same_answers(analysis: str, first: Predictions, other: Predictions) -> None:
    """Refuse models of other data or other classes.

    Raises:
        InputError: Naming the analysis.
    """
    same = first.log_p.shape == other.log_p.shape and first.kind == other.kind
    for name in ("labels", "truth", "examples", "numbers"):
        one, two = getattr(first, name), getattr(other, name)
        same = same and (np.array_equal(one, two) if one is not None else two is None)
    if not same:
        raise InputError(f"{analysis} compares models on the same examples with the same classes.")


def record(made: Predictions) -> dict[str, Any]:
    """The values of `ANSWERS`."""
    return {"classification": made.kind, "answers": len(made.labels)}


def nats(datasets: Mapping[str, xr.Dataset]) -> str:
    """The unit of a mean negative log-likelihood."""
    return "nats/answer" if any(map(_several, datasets.values())) else "nats/example"


def counted(ds: xr.Dataset, examples: int) -> str:
    """How much scores are means over, in words.

    Args:
        ds: A result.
        examples: Its examples.
    """
    return f"{int(ds['answers'])} answers of {examples} examples" if _several(ds) else f"{examples} examples"


def share_interval(ds: xr.Dataset, share: Any, error: Any, examples: int) -> tuple[Any, Any]:
    """95 % interval (Wilson 1927) of a share of right answers.

    Args:
        ds: The result.
        share: Shares.
        error: Their standard errors, which say how many independent answers they are worth where an
            example has several.
        examples: The examples of the result.
    """
    count = np.full(share.shape, float(examples))
    if _several(ds):
        with np.errstate(divide="ignore", invalid="ignore"):
            worth = share * (1.0 - share) / error**2
        # of answers that all agree, each example counts as one
        count = np.where(worth > 0, np.minimum(worth, float(ds["answers"])), count)
    return wilson(share, count)


def _several(ds: xr.Dataset) -> bool:
    """Whether an example may have several answers."""
    kind = str(ds["classification"].item()) if "classification" in ds else ""
    return kind.startswith("labels") or "at positions" in kind

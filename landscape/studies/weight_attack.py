"""``weight_attack``: accuracy on digits changed by an image network whose weights are the adversary's.

An analysis of studies alone: its image network is fitted to the reference digits. After Calian et al. (2022),
Defending against image corruptions through adversarial augmentations, ICLR; see
`landscape.reference.training.methods.AdversarialAugmentation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from torch import Generator, nn

from landscape.base.analysis import Analysis, Context, Metric, Params
from landscape.base.schema import Schema, Variable
from landscape.reference.data import digits
from landscape.reference.training.methods import AdversarialAugmentation
from landscape.studies.settings import DIGIT_PIXELS

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["weight_attack"]

RADIUS, STEPS, FITTING, EXAMPLES, SEED = 0.05, 10, 15, 600, 2022


@cache
def _adversary(side: int) -> AdversarialAugmentation:
    """The attack, with an image network of its own: the same for all classifiers, which none has seen."""
    attack = AdversarialAugmentation(RADIUS, steps=STEPS, fitting=FITTING, **DIGIT_PIXELS)
    attack.begin(nn.Linear(1, 1), digits("train", EXAMPLES, size=side), Generator().manual_seed(SEED))
    return attack


def _compute(problem: Problem, params: Params, context: Context) -> Mapping[str, Any]:
    """The share of right answers under the worst weights found."""
    draws = Generator().manual_seed(0)
    right: list[bool] = []
    for x, y in ((batch.inputs, batch.target) for batch in problem.batches):
        changed = _adversary(x.shape[-1]).changed(problem.module, x, y, draws)
        right += (problem.module(changed).argmax(1) == y).tolist()
    return {"accuracy": sum(right) / len(right)}


weight_attack = Analysis(
    name="weight_attack",
    title="Accuracy under adversarial weights of an image network",
    description="Digits changed by an image network whose weights are moved to fool the classifier.",
    scope="checkpoint",
    params=Params,
    schema=Schema(version=1, variables=(Variable("accuracy", (), "share of right answers"),)),
    compute=_compute,
    plots=lambda datasets: [],
    summary=lambda ds: [Metric("accuracy", float(ds["accuracy"]))],
)

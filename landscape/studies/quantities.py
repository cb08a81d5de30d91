"""Findings on quantities that studies often read: effect, results, unit and note stand here once.

Each makes a `landscape.studies.Finding`; what is claimed, of which kinds of models (``more`` and ``than``,
``above_zero`` or ``below_zero``), and any other field are given by the study.

Example:
    >>> finding = mc_dropout("smoothing lowers the NLL", "nll", more="plain", than="smooth")
    >>> finding.of, finding.unit, finding.kinds
    ('mc_dropout', 'nats', ('plain', 'smooth'))
"""

from __future__ import annotations

from functools import partial
from typing import Any

from landscape.studies import effects
from landscape.studies.ensembles import Ensemble
from landscape.studies.findings import Finding
from landscape.studies.measured import ENSEMBLE, TRAINING

__all__ = [
    "accuracy",
    "accuracy_by_doubt",
    "cka",
    "corrupted_accuracy",
    "detection",
    "ensemble_gain",
    "ensemble_nll",
    "gain_after",
    "growth_after",
    "head_gain",
    "last_attention",
    "loss",
    "mask_variance",
    "mc_dropout",
    "mean_gain",
    "middle_attention",
    "negative_proportion",
    "noise_harm",
    "order",
    "positive_eigenvalues",
]

_HIGH_LOW = "ln high over low"
_LESION: dict[str, Any] = {"of": "lesion", "unit": "nats of loss when removed"}
_TOGETHER: dict[str, Any] = {"of": ENSEMBLE, "note": "no dropout; jackknife over seeds"}
_OF_SCORE: dict[str, dict[str, Any]] = {
    "nll": {"unit": "nats"},
    "accuracy": {"unit": "points", "scale": 100},
    "ece": {},
}

negative_proportion = partial(
    Finding, effect=effects.negative_proportion, of="batch_spectra", unit="of eigenvalues"
)
positive_eigenvalues = partial(
    Finding, effect=effects.log_mean_positive, of="batch_spectra", unit="ln of the mean"
)

# of losses and accuracies a reader must know how large the models are that are compared
accuracy = partial(
    Finding, effect=effects.test_accuracy, of=TRAINING, unit="points of accuracy", scale=100, sizes=True
)
loss = partial(Finding, effect=effects.test_loss, of=TRAINING, unit="nats", sizes=True)

noise_harm = partial(
    Finding,
    effect=effects.high_frequency_harm,
    of="noise",
    unit="points of accuracy",
    note="bands at 0.7 to 0.9 π",
)
corrupted_accuracy = partial(Finding, effect=effects.corrupted_accuracy, of="corruptions", unit="points")
mask_variance = partial(Finding, effect=effects.log_feature_variance, of="mc_dropout", unit="ln of variance")
last_attention = partial(Finding, effect=effects.last_attention_effect, **_LESION)
middle_attention = partial(Finding, effect=effects.middle_attention_effect, **_LESION)
cka = partial(Finding, effect=effects.mean_cka, of="cka", unit="CKA")
head_gain = partial(Finding, effect=effects.head_gain, of="attention", unit=_HIGH_LOW, note="mean over heads")
ensemble_gain = partial(Finding, effect=Ensemble.gain, unit="points", scale=100, **_TOGETHER)
ensemble_nll = partial(Finding, effect=Ensemble.nll, unit="nats", **_TOGETHER)


def mean_gain(claim: str, unit: str, **given: Any) -> Finding:
    """Gain, high over low frequencies, of the units of a kind, such as ``attention``."""
    return Finding(claim, effects.mean_gain(unit), of="transfer", unit=_HIGH_LOW, **given)


def gain_after(claim: str, unit: str, **given: Any) -> Finding:
    """Gain, high over low frequencies, of the residual sums that add a kind of unit."""
    return Finding(claim, effects.gain_after(unit), of="transfer", unit=_HIGH_LOW, **given)


def growth_after(claim: str, unit: str, **given: Any) -> Finding:
    """Growth of the variance of feature maps where a kind of unit is added."""
    return Finding(claim, effects.growth_after(unit), of="variance", unit="ln of variance", **given)


def mc_dropout(claim: str, score: str, samples: int = 1, **given: Any) -> Finding:
    """A score of Monte Carlo dropout, ``nll``, ``accuracy`` or ``ece``, at a number of dropout masks."""
    effect = effects.mc_score(score, samples)
    return Finding(claim, effect, of="mc_dropout", **_OF_SCORE[score], **given)


def detection(claim: str, of: str = "uncertainty", more: str = "", than: str = "", **fields: Any) -> Finding:
    """That one method tells other data better than another, AUROC, paired by cohort.

    Softmax and ensembles are read by entropy, the others by their own score.
    """
    ours, theirs = (partial(effects.ood_auroc, by=_doubt(who)) for who in (more, than))
    return Finding(claim, ours, of, more, than, theirs, **{"unit": "AUROC", "by_cohort": True, **fields})


def order(
    claim: str,
    of: str = "uncertainty",
    more: str = "",
    than: str = "",
    pooled: bool = False,
    **fields: Any,
) -> Finding:
    """That one method orders errors better than another, rAULC, read as `detection` and paired by cohort.

    Args:
        claim: What is said.
        of: Whose results.
        more: The method that is ahead.
        than: The other.
        pooled: Whether all intensities are in one order; else it is that at the strongest.
        fields: Other fields of the finding.
    """
    ours, theirs = (partial(effects.error_order, by=_doubt(who), pooled=pooled) for who in (more, than))
    return Finding(claim, ours, of, more, than, theirs, **{"unit": "rAULC", "by_cohort": True, **fields})


def accuracy_by_doubt(
    claim: str, of: str = "uncertainty", more: str = "", than: str = "", **fields: Any
) -> Finding:
    """That accuracy falls as doubt grows less steadily by one method than by another, read as `order`.

    Rank correlation over windows of 100 examples of like doubt, all intensities together: -1 where each
    window has a lower accuracy than the one before.
    """
    ours, theirs = (partial(effects.accuracy_by_doubt, by=_doubt(who)) for who in (more, than))
    return Finding(claim, ours, of, more, than, theirs, **{"unit": "ρ", "by_cohort": True, **fields})


def _doubt(kind: str) -> str:
    return "entropy" if kind in ("softmax", "ensemble") else "score"

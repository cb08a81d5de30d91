"""Effects: the numbers that claims are about, read off results.

An effect is a function of one result. That of a group of models takes the names of the models it is asked
about as well. Functions here that take something else return an effect: ``gain_after("mlp")``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import xarray as xr

from landscape.reference.training.loop import TrainResult

__all__ = [
    "accuracy_by_doubt",
    "accuracy_under",
    "aliasing",
    "attack_gap",
    "attacked_accuracy",
    "between",
    "compressed",
    "corrupted_accuracy",
    "coverage",
    "doubt_by_distance",
    "error_order",
    "far_confidence",
    "far_over_near",
    "gain_after",
    "growth_after",
    "head_gain",
    "high_frequency_harm",
    "largest_confidence",
    "last_attention_effect",
    "log_expansion_spread",
    "log_feature_variance",
    "log_mean_positive",
    "log_number",
    "mc_score",
    "mean_cka",
    "mean_confidence",
    "mean_gain",
    "middle_attention_effect",
    "mode_connectivity",
    "near_noise_harm",
    "negative_proportion",
    "number",
    "ood_auroc",
    "ood_confidence",
    "over_random",
    "score",
    "shifted",
    "test_accuracy",
    "test_loss",
    "top_eigenvalue",
    "trace",
    "train_loss",
    "unforeseen",
]


def train_loss(result: TrainResult) -> float:
    """Training loss, nats/example."""
    return result.train_loss


def test_loss(result: TrainResult) -> float:
    """Negative log-likelihood on held-out examples, nats/example."""
    return result.test_loss


def test_accuracy(result: TrainResult) -> float:
    """Share of right answers on held-out examples."""
    return result.test_accuracy


test_loss.__test__ = test_accuracy.__test__ = False  # type: ignore[attr-defined] # names that pytest collects


def number(name: str) -> Callable[[xr.Dataset], float]:
    """A number of a result that is one: no axis."""
    return lambda ds: float(ds[name])


def log_number(name: str) -> Callable[[xr.Dataset], float]:
    """Natural logarithm of a number of a result that is one, such as a median of ``input_curvature``."""
    return lambda ds: float(np.log(ds[name]))


def attacked_accuracy(attack: str = "", place: int = -1) -> Callable[[xr.Dataset], float]:
    """Accuracy in ``robustness`` under an attack, or under the strongest of all.

    Args:
        attack: Its name.
        place: Which radius: the largest, unless another is named; 0 is no attack.
    """
    return lambda ds: float((ds["accuracy"].sel(attack=attack) if attack else ds["worst"]).values[place])


def attack_gap(ds: xr.Dataset) -> float:
    """Accuracy under one step (fgsm) less that under many (pgd), at the largest radius of ``robustness``."""
    return float(ds["gap"].values[-1])


def over_random(ds: xr.Dataset) -> float:
    """Accuracy under random perturbations less that under the strongest attack, at the largest radius."""
    return attacked_accuracy("random")(ds) - attacked_accuracy()(ds)


def aliasing(ds: xr.Dataset) -> float:
    """Share of power folded from above the new Nyquist frequency, mean over units that coarsen their map."""
    values = ds["aliasing"].values
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def negative_proportion(ds: xr.Dataset) -> float:
    """Share of negative ones among the eigenvalues of mini-batch Hessians."""
    return float(ds["negative_proportion"])


def log_mean_positive(ds: xr.Dataset) -> float:
    """Logarithm of the mean of the positive eigenvalues of mini-batch Hessians."""
    return float(np.log(ds["mean_positive"]))


def top_eigenvalue(ds: xr.Dataset) -> float:
    """Largest eigenvalue of the Hessian."""
    return float(ds["eigenvalues"].values.max())


def trace(ds: xr.Dataset) -> float:
    """Trace of the Hessian."""
    return float(ds["trace"].values.max())


def mode_connectivity(ds: xr.Dataset) -> float:
    """Mode connectivity of a trained curve between two models, on the training error in percent."""
    return float(ds["mode_connectivity"].sel(path="bezier", split="train", quantity="error"))


def between(name: str) -> Callable[[xr.Dataset, str, str], float]:
    """A number of the result of a group on two of its models."""
    return lambda ds, a, b: float(ds[name].sel(model=a, other=b))


def high_frequency_harm(ds: xr.Dataset) -> float:
    """Accuracy lost to noise in the three highest bands, 0.7 to 0.9 π, in percentage points."""
    # The last three of the nine bands that `frequency_noise` has by default.
    return float(-100 * ds["accuracy_change"].values[-3:].mean())


def near_noise_harm(frequency: float) -> Callable[[xr.Dataset], float]:
    """Accuracy lost to noise in the band of ``frequency_noise`` nearest to a frequency, percentage points.

    Args:
        frequency: Cycles per pixel.
    """
    near = 2 * frequency  # bands are counted in π rad/pixel
    return lambda ds: float(-100 * ds["accuracy_change"].sel(frequency=near, method="nearest"))


def corrupted_accuracy(ds: xr.Dataset) -> float:
    """Accuracy on corrupted images in percent, mean over corruptions and severities above zero."""
    return float(100 * ds["mean_accuracy"].values[1:].mean())


def accuracy_under(*kinds: str) -> Callable[[xr.Dataset], float]:
    """Accuracy in ``corruptions`` on some kinds, mean over these and over severities above zero, percent."""
    return lambda ds: float(100 * ds["accuracy"].sel(corruption=list(kinds)).values[:, 1:].mean())


def mc_score(name: str, samples: int = 1) -> Callable[[xr.Dataset], float]:
    """A score of Monte Carlo dropout, such as ``nll``, at a number of dropout masks."""
    return lambda ds: float(ds[name].sel(samples=samples))


def log_feature_variance(ds: xr.Dataset) -> float:
    """Logarithm of the variance of features over dropout masks, relative to their mean square."""
    return float(np.log(ds["feature_variance"]))


def _residual_sums(ds: xr.Dataset) -> list[tuple[int, str]]:
    """Residual sums of a network in firing order, each with the kind of unit it adds."""
    found, last = [], ""
    for index, kind in enumerate(ds["kind"].values.tolist()):
        if kind in ("attention", "mlp", "convolution"):
            # an attention block of AlterNet has a convolution before its attention; the last one counts
            last = kind
        elif kind == "residual_sum":
            found.append((index, last))
    return found


def gain_after(kind: str) -> Callable[[xr.Dataset], float]:
    """Mean ln of the gain, high over low frequencies, of the residual sums that add a kind of unit."""

    def effect(ds: xr.Dataset) -> float:
        values = [float(ds["gain_high_low"].values[i]) for i, added in _residual_sums(ds) if added == kind]
        return float(np.mean(values)) if values else float("nan")

    return effect


def growth_after(kind: str) -> Callable[[xr.Dataset], float]:
    """Mean ln of the spatial variance after a residual sum that adds a kind of unit over the sum before."""

    def effect(ds: xr.Dataset) -> float:
        variance = ds["spatial_variance"].values
        steps = [
            np.log(variance[i] / variance[before])
            for (before, _), (i, added) in pairwise(_residual_sums(ds))
            if added == kind
        ]
        return float(np.mean(steps)) if steps else float("nan")

    return effect


def mean_gain(kind: str) -> Callable[[xr.Dataset], float]:
    """Mean ln of the gain, high over low frequencies, of the units of a kind."""

    def effect(ds: xr.Dataset) -> float:
        values = ds["gain_high_low"].values[ds["kind"].values == kind]
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    return effect


def head_gain(ds: xr.Dataset) -> float:
    """Mean ln of the gain, high over low frequencies, of attention heads."""
    return float(ds["gain_high_low"].mean())


def last_attention_effect(ds: xr.Dataset) -> float:
    """Loss by the removal of the last attention of a stage less that of the first, mean over stages."""
    stages: dict[str, list[float]] = {}
    for name, harm in _attention_lesions(ds):
        stages.setdefault(name.split(".")[1], []).append(harm)
    return float(np.mean([values[-1] - values[0] for values in stages.values()]))


def middle_attention_effect(ds: xr.Dataset) -> float:
    """Loss by the removal of an attention inside, mean, less that at the two ends of the network, mean."""
    found = [harm for _, harm in _attention_lesions(ds)]
    inside = found[1:-1]
    return float(np.mean(inside) - (found[0] + found[-1]) / 2) if inside else float("nan")


def _attention_lesions(ds: xr.Dataset) -> list[tuple[str, float]]:
    """Loss by the removal of each attention, in firing order, with its name."""
    names, harm = ds["unit"].values.tolist(), ds["delta_loss"].values[:, 0]
    return [(n, float(h)) for n, h in zip(names, harm, strict=True) if n.endswith(".attn")]


def mean_cka(ds: xr.Dataset, model: str) -> float:
    """Mean CKA over the pairs of layers of one model of a group."""
    rows = ds["model_a"].values == model
    block = ds["cka"].values[np.ix_(rows, rows)]
    return float(block[np.triu_indices(len(block), 1)].mean())


def score(name: str) -> Callable[[xr.Dataset], float]:
    """A number of a result by its name, such as ``nll`` of ``regression_uncertainty``."""
    return lambda ds: float(ds[name])


def coverage(level: float) -> Callable[[xr.Dataset], float]:
    """Share of targets within the central interval of a level."""
    return lambda ds: float(ds["coverage"].sel(level=level, method="nearest"))


def far_over_near(bound: float) -> Callable[[xr.Dataset], float]:
    """Mean predicted spread where targets are beyond ± a bound over that where they are within."""

    def effect(ds: xr.Dataset) -> float:
        far = np.abs(ds["example_target"].values) > bound
        spread = ds["example_sd"].values
        return float(spread[far].mean() / spread[~far].mean())

    return effect


def compressed(name: str, way: str, less: str = "") -> Callable[[xr.Dataset], float]:
    """A number of ``compression``, such as ``loss_change``, of one way to compress.

    Args:
        name: Of the number.
        way: The way, such as ``4 bits``.
        less: Another way, whose number is subtracted.
    """

    def effect(ds: xr.Dataset) -> float:
        values = ds[name].values[ds["perturbation"].values == way]
        # of one that was not asked for: a finding with a number missing decides nothing
        found = float(values[0]) if values.size else float("nan")
        return found - compressed(name, less)(ds) if less else found

    return effect


def unforeseen(way: str, less: str = "") -> Callable[[xr.Dataset], float]:
    """What ``compression`` did not foresee of the loss change of a way: |ΔL − g·δ − ½δᵀHδ| over both terms.

    Over |g·δ| + |½δᵀHδ|, since their sum may be about zero; NaN where both are.

    Args:
        way: The way, such as ``4 bits``.
        less: Another way, whose number is subtracted.
    """

    def effect(ds: xr.Dataset) -> float:
        change, first, second = (compressed(name, way)(ds) for name in ("loss_change", "first", "second"))
        terms = abs(first) + abs(second)
        found = abs(change - first - second) / terms if terms else float("nan")
        return found - unforeseen(less)(ds) if less else found

    return effect


def shifted(name: str) -> Callable[[xr.Dataset], float]:
    """A score of ``uncertainty``, mean over shifts and intensities above zero."""
    return lambda ds: float(ds[name].values[:, 1:].mean())


def ood_auroc(ds: xr.Dataset, by: str = "entropy") -> float:
    """AUROC of low entropy, or of another doubt, against data of other distributions, mean over these."""
    return float(ds["ood_auroc"].sel(by=by).mean())


def error_order(ds: xr.Dataset, by: str = "entropy", pooled: bool = False) -> float:
    """The rAULC in ``uncertainty``, mean over shifts: at the strongest, or of all intensities in one order.

    Args:
        ds: The result.
        by: What answers are ordered by.
        pooled: Whether of all intensities.
    """
    values = ds["pooled_raulc" if pooled else "raulc"].sel(by=by).values
    return float((values if pooled else values[:, -1]).mean())


def accuracy_by_doubt(ds: xr.Dataset, by: str = "entropy") -> float:
    """Rank correlation of accuracy and uncertainty over windows, all intensities together, mean over shifts.

    Args:
        ds: The result of ``uncertainty``.
        by: What answers are ordered by.
    """
    return float(ds["pooled_window_spearman"].sel(by=by).mean())


def far_confidence(beyond: float) -> Callable[[xr.Dataset], float]:
    """Mean confidence of ``distance_awareness`` at points further than that from every example."""
    return lambda ds: float(ds["point_confidence"].values[ds["point_input_distance"].values > beyond].mean())


def doubt_by_distance(by: str) -> Callable[[xr.Dataset], float]:
    """Rank correlation of a doubt with the distance between inputs, mean over other data."""
    return lambda ds: float(ds["spearman"].sel(space="inputs", by=by).mean())


def log_expansion_spread(ds: xr.Dataset) -> float:
    """Logarithm of the 99 % over the 1 % quantile of the expansion between examples."""
    return float(np.log(ds["expansion_spread"].values[0]))


def ood_confidence(ds: xr.Dataset) -> float:
    """Mean confidence on data of other distributions, mean over these."""
    return float(ds["ood_confidence"].mean())


def mean_confidence(ds: xr.Dataset) -> float:
    """Mean confidence of ``calibration``."""
    return float(ds["example_confidence"].mean())


def largest_confidence(ds: xr.Dataset) -> float:
    """Largest confidence of ``calibration`` on any example."""
    return float(ds["example_confidence"].max())

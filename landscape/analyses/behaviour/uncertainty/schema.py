"""What a result of ``uncertainty`` holds."""

from __future__ import annotations

from landscape.analyses.behaviour._answers import ANSWERS
from landscape.base.schema import Schema, Variable

__all__ = ["NATS", "PARTS", "SCHEMA", "SCORES"]

NATS = "nats/example"
DIMS = ("shift", "intensity")

_BIAS = "biased upwards on few examples"

SCORES: dict[str, tuple[str, str]] = {
    "accuracy": ("share of right answers", "1"),
    "nll": ("mean negative log-likelihood", NATS),
    "brier": ("mean Brier score, summed over classes (0 to 2)", "1"),
    "confidence": ("mean probability of the most probable class", "1"),
    "entropy": ("mean entropy of the mixture of draws: total uncertainty", NATS),
    "expected_entropy": ("mean entropy of single draws: aleatoric uncertainty", NATS),
    "mutual_information": ("mean mutual information of label and draw: epistemic uncertainty", NATS),
    "variance": ("mean variance of probabilities over draws", "1"),
    "disagreement": ("mean share of pairs of draws with different most probable classes", "1"),
    "score": ("mean of the method's own score; NaN if it has none", ""),
    "ece": (f"expected calibration error, equal-width bins with closed upper edges; {_BIAS}", "1"),
    "ece_adaptive": (f"expected calibration error, bins of equally many examples; {_BIAS}", "1"),
}
"""Meaning and unit of each score that has errors and a change, the first ten means over examples."""

PARTS = {
    "brier_top": "mean squared gap of confidence and being right",
    "reliability": "part of brier_top: mean squared gap of confidence and accuracy of a bin",
    "resolution": "part of brier_top, negative: variance of the accuracy between bins",
    "uncertainty_term": "part of brier_top: accuracy times error rate",
    "within_bin": "part of brier_top: what different confidences within a bin add",
}

RANKED = {
    "aurc": "mean error rate among the i most certain examples, over all i",
    "excess_aurc": "aurc less that of the ideal order",
    "augrc": "area under the share of examples that are answered and wrong, over coverage",
    "raulc": "area under the lift curve over that of the ideal order; 1 ideal, 0 by chance",
    "error_auroc": "probability that an error is more uncertain than a right answer",
}

WINDOWS = "rank correlation of accuracy and uncertainty over windows of 100 examples of like uncertainty"

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("shift", ("shift",), "kind of change", "", kind="str"),
        Variable("intensity", ("intensity",), "severity or amount; 0 = the images as they are", ""),
        Variable("by", ("by",), "what examples are ranked by", "", kind="str"),
        Variable("coverage", ("coverage",), "share of examples answered, the most certain ones"),
        Variable("channel", ("channel",), "channel of the image", "", kind="int"),
        Variable("amount_unit", ("shift",), "what the amount is counted in", "", kind="str"),
        Variable("ood", ("ood",), "data of another distribution", "", kind="str", optional=True),
        Variable("bound", ("bound",), "end of an interval", "", kind="str", optional=True),
    ),
    variables=(
        *(
            variable
            for name, (meaning, unit) in SCORES.items()
            for variable in (
                Variable(name, DIMS, meaning, unit),
                Variable(f"{name}_se", DIMS, f"standard error of {name} over examples", unit),
                Variable(f"{name}_change", DIMS, f"change of {name} from the unchanged images", unit),
                Variable(f"{name}_change_se", DIMS, f"standard error of {name}_change, paired", unit),
            )
        ),
        Variable(
            "agreement",
            DIMS,
            "share of answers that are those to the unchanged images; NaN where an example has several",
            optional=True,
        ),
        Variable("agreement_se", DIMS, "standard error of agreement over examples", optional=True),
        *(
            Variable(
                f"{name}_interval",
                ("bound", *DIMS),
                f"95 % interval of {name}, its bias taken off",
                optional=True,
            )
            for name in ("ece", "ece_adaptive")
        ),
        *(Variable(name, DIMS, meaning) for name, meaning in PARTS.items()),
        Variable("risk", (*DIMS, "by", "coverage"), "error rate among the examples answered"),
        *(Variable(name, (*DIMS, "by"), meaning) for name, meaning in RANKED.items()),
        Variable("window_spearman", (*DIMS, "by"), WINDOWS, optional=True),
        Variable(
            "pooled_window_spearman",
            ("shift", "by"),
            f"{WINDOWS}; all intensities of a shift together",
            optional=True,
        ),
        Variable("error_auroc_se", (*DIMS, "by"), "standard error of error_auroc (DeLong)"),
        *(
            Variable(
                f"pooled_{name}", ("shift", "by"), f"{RANKED[name]}; all intensities of a shift together"
            )
            for name in ("aurc", "raulc", "error_auroc")
        ),
        Variable("ood_auroc", ("ood", "by"), "AUROC of being certain against other data", optional=True),
        Variable("ood_auroc_se", ("ood", "by"), "standard error of ood_auroc (DeLong)", optional=True),
        Variable("ood_aupr", ("ood", "by"), "mean precision of finding the other data", optional=True),
        Variable(
            "ood_fpr95",
            ("ood", "by"),
            "share of the other data accepted where 95 % of the own data are",
            optional=True,
        ),
        Variable("ood_confidence", ("ood",), "mean confidence on the other data", optional=True),
        Variable("ood_examples", ("ood",), "number of examples of the other data", "1", "int", optional=True),
        Variable("amount", DIMS, "amount of change, in amount_unit; 0 at intensity 0", ""),
        Variable("severities", (), "whether intensities are severities, not amounts", "", kind="bool"),
        Variable("pixel_mean", ("channel",), "mean of the normalisation that was undone", "pixel range"),
        Variable("pixel_std", ("channel",), "scale of the normalisation that was undone", "pixel range"),
        Variable("draws", (), "number of draws that were averaged", kind="int"),
        Variable("examples", (), "number of examples", kind="int"),
        *ANSWERS,
    ),
)

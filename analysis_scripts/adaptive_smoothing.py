"""AR-AdaLS: calibration through the relationship with adversarial robustness (Qin et al., NeurIPS 2021).

    python analysis_scripts/adaptive_smoothing.py [--quick]

Trains small networks on digits with hard labels, with labels smoothed alike, and with labels smoothed as the
calibration of easily changed images asks for, beside controls whose bins are one, are random, or are by the
distance to a wrong answer. Asks how well each is calibrated, also of turned and noisy digits, and of the
images nearest to another answer. Run it again to go on where it stopped.
"""

from dataclasses import dataclass

import numpy as np
import torch

from landscape.reference import models
from landscape.reference.training import AdaptiveSmoothing, CrossEntropy
from landscape.reference.training.checkpoints import load_weights
from landscape.reference.training.methods.adaptive_smoothing import answer_distances, equal_bins
from landscape.reference.uncertainty import temperature_scaled
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, effects, kind, settings
from landscape.studies.claims import above, contrast
from landscape.studies.data import load

SIDE = 14
FIFTHS, IMAGES = 5, 500
TRAINING = {"optimizer": "adamw", "lr": 0.002, "schedule": "cosine", "batch_size": 64}


def sized(train, test, held, epochs, after, steps, shifts):
    """A size: digits to train, test and calibrate on; epochs, those on hard labels; DeepFool's steps."""
    fields = {"held": held, "epochs": epochs, "after": after, "steps": steps, "shifts": shifts}
    return Size(data=Data.digits(train, test, SIDE), **fields)


SIZES = {
    "quick": sized(40, 20, 20, 2, 1, 2, ["gaussian_noise"]),
    "default": sized(1000, 1000, 500, 40, 5, 20, ["rotation", "gaussian_noise", "gaussian_blur"]),
}


def cohorts(size):
    """Networks of each kind, on the same digits."""
    data = size.data.validated(size.held)
    held = data.others["validation"]
    given = {
        "validation": held.reference,
        "arguments": dict(held.kwargs),
        "after": size.after,
        "steps": size.steps,
    }
    given |= settings.DIGIT_PIXELS
    objectives = {
        "hard": CrossEntropy(),
        "smooth": CrossEntropy(0.1),
        "one-bin": AdaptiveSmoothing(**given, bins=1),
        "adaptive": AdaptiveSmoothing(**given, bins=FIFTHS),
        "random-bins": AdaptiveSmoothing(**given, bins=FIFTHS, by="random"),
        "label-bins": AdaptiveSmoothing(**given, bins=FIFTHS, by="label"),
    }
    net = {"channels": [8, 16], "hidden": 64, "image": SIDE}
    training = {**TRAINING, "epochs": size.epochs}
    recipes = [
        kind(name, models.lenet, net, {**training, "objective": objective})
        for name, objective in objectives.items()
    ]
    averages = [Average("temperature", "hard", temperature_scaled, fit="validation", each=True)]
    measure = {"mean": [0.1307], "std": [0.3081], "shifts": size.shifts, "bootstrap": 20}
    return [Cohort(recipes, data, [On("test", "uncertainty", measure, examples=IMAGES)], averages=averages)]


def of_fifths(measured, kind):
    """Confidence less accuracy of each fifth of the test images, nearest to another answer first, by seed."""
    if kind in measured.tables:
        return measured.tables[kind]
    part = measured.parts[0]
    inputs, labels = (values[:IMAGES] for values in load(part.data.test))
    found = []
    for model in part.of_kind(kind):
        network = model.recipe.build(model.seed).eval()
        load_weights(network, model.path)
        bins = equal_bins(answer_distances(network, inputs, **settings.DIGIT_PIXELS), FIFTHS)
        with torch.no_grad():
            confidence, answers = network(inputs).double().softmax(-1).max(-1)
        gap = confidence - (answers == labels).double()
        found.append([float(gap[bins == fifth].mean()) for fifth in range(FIFTHS)])
    measured.tables[kind] = np.array(found)
    return measured.tables[kind]


@dataclass(frozen=True)
class Nearest:
    """Over-confidence in the fifth nearest to another answer exceeds that in the farthest, or a kind's."""

    claim: str
    more: str
    than: str = ""
    of: str = "uncertainty"

    @property
    def kinds(self):
        """The kinds of models."""
        return tuple(filter(None, (self.more, self.than)))

    def judge(self, measured, paper):
        """How it fared."""
        first, *other = (of_fifths(measured, name) for name in self.kinds)
        said = {"unit": "confidence less accuracy", "note": "fifths by each network's own distances"}
        if other:
            return contrast(self.claim, paper, first[:, 0], other[0][:, 0], **said, level=measured.level)
        return above(self.claim, paper, first[:, 0] - first[:, -1], **said, level=measured.level)


def clean(name):
    """A score of ``uncertainty`` on unchanged digits."""
    return lambda ds: float(ds[name][0, 0])


ECE, SHIFTED = (clean("ece"), "ECE"), (effects.shifted("ece"), "ECE")
NLL, WORSE = (clean("nll"), "nats"), (effects.shifted("nll"), "nats")
BETTER, LOWER = "AR-AdaLS is better calibrated than", "AR-AdaLS has a lower NLL than"
CHANGED, NEAR = "on turned, noisy and blurred digits", "on images near the decision boundary"
NAMES = {
    "hard": "hard labels",
    "smooth": "smoothing of 0.1",
    "one-bin": "one bin (AdaLS)",
    "random-bins": "random bins",
    "label-bins": "bins by distance to a wrong answer",
    "temperature": "a temperature on the same images",
}
SCORES = [
    *((f"{BETTER} {name}", ECE, than) for than, name in NAMES.items()),
    *((f"{BETTER} {name} {CHANGED}", SHIFTED, than) for than, name in NAMES.items()),
    *((f"{LOWER} {NAMES[than]}", NLL, than) for than in ("hard", "temperature")),
    *((f"{LOWER} {NAMES[than]} {CHANGED}", WORSE, than) for than in ("hard", "one-bin")),
]
KINDS = ("hard", "smooth", "one-bin", "adaptive", "random-bins", "label-bins", "temperature")
FINDINGS = [
    Nearest(f"networks on hard labels are more over-confident {NEAR} than on far ones", "hard"),
    *(Nearest(f"AR-AdaLS is less over-confident than {NAMES[o]} {NEAR}", o, "adaptive") for o in KINDS[:3]),
    *(Finding(c, e, "uncertainty", more=o, than="adaptive", unit=u) for c, (e, u), o in SCORES),
]
STUDY = Study(
    name="adals",
    script=__file__,
    paper="Qin et al. 2021",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[Figure("uncertainty", ("mean_ece", "mean_nll", "ece"), KINDS, "digits")],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()

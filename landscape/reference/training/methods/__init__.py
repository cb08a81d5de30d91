"""Training methods of papers, one file each: objectives to add to `CrossEntropy` or to put in its place."""

from __future__ import annotations

from landscape.reference.training.methods.adversarial import FGSM, PGD, Adversarial
from landscape.reference.training.methods.dign import NoiseAugmentation, NoiseConsistency
from landscape.reference.training.methods.divergence import Divergence
from landscape.reference.training.methods.members import MemberCrossEntropy
from landscape.reference.training.methods.smoothing import AdversarialSmoothing
from landscape.reference.training.methods.virtual import VirtualAdversarial

__all__ = [
    "FGSM",
    "PGD",
    "Adversarial",
    "AdversarialSmoothing",
    "Divergence",
    "MemberCrossEntropy",
    "NoiseAugmentation",
    "NoiseConsistency",
    "VirtualAdversarial",
]

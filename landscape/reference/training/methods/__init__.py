"""Training methods of papers, one file each: objectives to add to `CrossEntropy` or to put in its place."""

from __future__ import annotations

from landscape.reference.training.methods.ada import AdversarialAugmentation
from landscape.reference.training.methods.adaptive_smoothing import AdaptiveSmoothing
from landscape.reference.training.methods.adversarial import FGSM, PGD, Adversarial
from landscape.reference.training.methods.dign import NoiseAugmentation, NoiseConsistency
from landscape.reference.training.methods.distillation import Distillation
from landscape.reference.training.methods.divergence import Divergence
from landscape.reference.training.methods.evidence_bound import EvidenceBound
from landscape.reference.training.methods.frequency_dropout import FilteredTraining
from landscape.reference.training.methods.kernel import KernelLoss
from landscape.reference.training.methods.members import MemberCrossEntropy
from landscape.reference.training.methods.reconstruction import Reconstruction
from landscape.reference.training.methods.sharpness import SharpnessAware
from landscape.reference.training.methods.smoothing import AdversarialSmoothing
from landscape.reference.training.methods.virtual import VirtualAdversarial

__all__ = [
    "FGSM",
    "PGD",
    "AdaptiveSmoothing",
    "Adversarial",
    "AdversarialAugmentation",
    "AdversarialSmoothing",
    "Distillation",
    "Divergence",
    "EvidenceBound",
    "FilteredTraining",
    "KernelLoss",
    "MemberCrossEntropy",
    "NoiseAugmentation",
    "NoiseConsistency",
    "Reconstruction",
    "SharpnessAware",
    "VirtualAdversarial",
]

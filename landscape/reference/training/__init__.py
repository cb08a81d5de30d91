"""Training: the loop, what it minimises, its data, its checkpoints, and the methods of papers."""

from __future__ import annotations

from landscape.reference.training.branching import Branched, branch
from landscape.reference.training.evaluation import TrainResult, evaluate
from landscape.reference.training.loop import train
from landscape.reference.training.methods import (
    FGSM,
    PGD,
    AdaptiveSmoothing,
    Adversarial,
    AdversarialAugmentation,
    AdversarialSmoothing,
    Distillation,
    Divergence,
    EvidenceBound,
    FilteredTraining,
    KernelLoss,
    MemberCrossEntropy,
    NoiseAugmentation,
    NoiseConsistency,
    Reconstruction,
    SharpnessAware,
    VirtualAdversarial,
)
from landscape.reference.training.objective import (
    Batch,
    CrossEntropy,
    Objective,
    RegressionLoss,
    Scaled,
    Sum,
    frozen_statistics,
)
from landscape.reference.training.recipe import PostProcessing, Recipe
from landscape.reference.training.run_recipe import run_recipe
from landscape.reference.training.tuning import tune

__all__ = [
    "FGSM",
    "PGD",
    "AdaptiveSmoothing",
    "Adversarial",
    "AdversarialAugmentation",
    "AdversarialSmoothing",
    "Batch",
    "Branched",
    "CrossEntropy",
    "Distillation",
    "Divergence",
    "EvidenceBound",
    "FilteredTraining",
    "KernelLoss",
    "MemberCrossEntropy",
    "NoiseAugmentation",
    "NoiseConsistency",
    "Objective",
    "PostProcessing",
    "Recipe",
    "Reconstruction",
    "RegressionLoss",
    "Scaled",
    "SharpnessAware",
    "Sum",
    "TrainResult",
    "VirtualAdversarial",
    "branch",
    "evaluate",
    "frozen_statistics",
    "run_recipe",
    "train",
    "tune",
]

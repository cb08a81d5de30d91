"""Training: the loop, what it minimises, its data, its checkpoints, and the methods of papers."""

from __future__ import annotations

from landscape.reference.training.evaluation import TrainResult, evaluate
from landscape.reference.training.loop import train
from landscape.reference.training.methods import (
    FGSM,
    PGD,
    Adversarial,
    AdversarialSmoothing,
    Divergence,
    MemberCrossEntropy,
    NoiseAugmentation,
    NoiseConsistency,
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

__all__ = [
    "FGSM",
    "PGD",
    "Adversarial",
    "AdversarialSmoothing",
    "Batch",
    "CrossEntropy",
    "Divergence",
    "MemberCrossEntropy",
    "NoiseAugmentation",
    "NoiseConsistency",
    "Objective",
    "PostProcessing",
    "Recipe",
    "RegressionLoss",
    "Scaled",
    "Sum",
    "TrainResult",
    "VirtualAdversarial",
    "evaluate",
    "frozen_statistics",
    "run_recipe",
    "train",
]

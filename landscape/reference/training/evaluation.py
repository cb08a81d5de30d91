"""How well a network does: its loss on given examples, and its accuracy or the size of its errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscape.core.problem.losses import LOSSES, gaussian_moments

__all__ = ["LossName", "TrainResult", "evaluate", "measure", "score_name"]

Data = tuple[Tensor, Tensor]
LossName = Literal["cross_entropy", "gaussian_nll", "mse"]
"""Losses that networks are trained on: the first of classes, the others of numbers."""


@dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes:
        train_accuracy: Fraction of the training examples that are right, without augmentation; NaN of a
            regression.
        test_accuracy: Fraction of the held-out examples that are right; NaN of a regression.
        train_loss: Mean loss of the training examples, in nats unless it is the squared error, without
            augmentation and without weight decay.
        test_loss: Mean loss of the held-out examples.
        epochs: Epochs behind the weights, those of interrupted runs included.
        seconds: Wall time of this call; 0 if the training was already finished.
        train_rmse: Root mean square of the errors on the training examples, in the unit of the targets;
            NaN of a classification.
        test_rmse: The same on the held-out examples.
    """

    train_accuracy: float
    test_accuracy: float
    train_loss: float
    test_loss: float
    epochs: int
    seconds: float
    train_rmse: float = math.nan
    test_rmse: float = math.nan

    @classmethod
    def of(cls, metrics: Mapping[str, float], epochs: int, seconds: float) -> TrainResult:
        """The result whose `metrics` these are."""
        absent = {"train_accuracy": math.nan, "test_accuracy": math.nan}
        return cls(**{**absent, **metrics}, epochs=epochs, seconds=seconds)

    @property
    def is_regression(self) -> bool:
        """Whether it has errors in place of accuracies."""
        return math.isnan(self.train_accuracy) and not math.isnan(self.train_rmse)

    def metrics(self) -> dict[str, float]:
        """The losses, and the accuracies or errors, as they are kept in the file and in a manifest."""
        score = "rmse" if self.is_regression else "accuracy"
        kept = (f"train_{score}", f"test_{score}", "train_loss", "test_loss")
        return {name: getattr(self, name) for name in kept}


@torch.no_grad()
def evaluate(
    model: nn.Module, data: Data, batch_size: int = 500, *, loss: LossName = "cross_entropy"
) -> tuple[float, float]:
    """Mean loss and accuracy of a classifier on inputs (N, ...), labels (N,).

    The model is put into eval mode and left in it.

    Args:
        model: The network.
        data: Inputs (N, ...), and labels (N,) or the targets of a regression (N,) or (N, D).
        batch_size: Examples at a time.
        loss: Which loss. Of one of regressions the second number is the root mean square of the errors.
    """
    model.eval()
    device = next(model.parameters()).device
    total = score = 0.0
    for x, y in zip(*(torch.split(part, batch_size) for part in data), strict=True):
        output, target = model(x.to(device)), y.to(device)
        if loss == "cross_entropy":
            total += functional.cross_entropy(output.double(), target, reduction="sum").item()
            score += (output.argmax(dim=1) == target).sum().item()
        else:
            total += LOSSES[loss](output.double(), target).sum().item()
            mean = gaussian_moments(output)[0] if loss == "gaussian_nll" else output
            score += LOSSES["mse"](mean.double(), target).sum().item()
    count = len(data[1])
    return total / count, score / count if loss == "cross_entropy" else math.sqrt(score / count)


def score_name(loss: LossName) -> str:
    """What `evaluate` gives beside the loss: ``accuracy`` or ``rmse``."""
    return "accuracy" if loss == "cross_entropy" else "rmse"


def measure(
    model: nn.Module, data: Data, test_data: Data, loss: LossName = "cross_entropy"
) -> dict[str, float]:
    """Mean losses, and accuracies or errors, on training and held-out examples, by name."""
    train_loss, train_score = evaluate(model, data, loss=loss)
    test_loss, test_score = evaluate(model, test_data, loss=loss)
    return {
        f"train_{score_name(loss)}": train_score,
        f"test_{score_name(loss)}": test_score,
        "train_loss": train_loss,
        "test_loss": test_loss,
    }

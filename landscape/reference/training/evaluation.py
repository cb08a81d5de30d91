"""How well a classifier does: loss and accuracy on given examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["TrainResult", "evaluate", "measure"]

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TrainResult:
    """How a training ended.

    Attributes:
        train_accuracy: Fraction of the training examples that are right, without augmentation.
        test_accuracy: Fraction of the held-out examples that are right.
        train_loss: Mean cross-entropy of the training examples in nats, without augmentation and
            without weight decay.
        test_loss: Mean cross-entropy of the held-out examples in nats.
        epochs: Epochs behind the weights, those of interrupted runs included.
        seconds: Wall time of this call; 0 if the training was already finished.
    """

    train_accuracy: float
    test_accuracy: float
    train_loss: float
    test_loss: float
    epochs: int
    seconds: float

    def metrics(self) -> dict[str, float]:
        """The accuracies and losses, as they are kept in the file and in a manifest."""
        kept = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
        return {name: getattr(self, name) for name in kept}


@torch.no_grad()
def evaluate(model: nn.Module, data: Data, batch_size: int = 500) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy of a classifier on inputs (N, ...), labels (N,).

    The model is put into eval mode and left in it.
    """
    model.eval()
    device = next(model.parameters()).device
    loss = right = 0.0
    for x, y in zip(*(torch.split(part, batch_size) for part in data), strict=True):
        logits, target = model(x.to(device)), y.to(device)
        loss += functional.cross_entropy(logits.double(), target, reduction="sum").item()
        right += (logits.argmax(dim=1) == target).sum().item()
    return loss / len(data[1]), right / len(data[1])


def measure(model: nn.Module, data: Data, test_data: Data) -> dict[str, float]:
    """Accuracies and mean cross-entropies (nats) on training and held-out examples, by name."""
    train_loss, train_accuracy = evaluate(model, data)
    test_loss, test_accuracy = evaluate(model, test_data)
    return {
        "train_accuracy": train_accuracy,
        "test_accuracy": test_accuracy,
        "train_loss": train_loss,
        "test_loss": test_loss,
    }

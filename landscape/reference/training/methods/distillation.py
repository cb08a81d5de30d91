"""Distillation: a network that learns the answers of another, right ones and wrong ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Generator, Tensor, nn

from landscape.errors import InputError
from landscape.imports import call
from landscape.reference.training.checkpoints import load_weights
from landscape.reference.training.objective import Batch, CrossEntropy, Objective

__all__ = ["Distillation"]

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Distillation(Objective):
    """share · T² KL(p_T ‖ q_T) + (1 − share) · cross-entropy, nats, mean over the batch.

    p_T and q_T are the softmax of the logits of teacher and student over the temperature T; T² keeps the size
    of the gradients, which falls as 1/T². The teacher sees what the student sees, augmented and mixed, in
    eval mode; it does not learn. Its file is told from others by what is in it, wherever it lies.

    Attributes:
        builder: What makes the teacher, ``package.module:function``.
        weights: Its safetensors file, as `landscape.reference.training.train` writes it.
        kwargs: Arguments of the builder.
        temperature: T.
        share: Weight of the teacher; 0 is plain training.

    Raises:
        InputError: If a number is out of range, or there is no such file.

    Reference:
        Hinton et al. (2015), Distilling the knowledge in a neural network, section 2.
    """

    builder: str
    weights: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 4.0
    share: float = 0.9
    _teacher: dict[str, nn.Module] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"Distillation: the temperature is positive, not {self.temperature}.")
        if not 0 <= self.share <= 1:
            raise InputError(f"Distillation: share lies within 0 and 1, not {self.share}.")
        if not Path(self.weights).is_file():
            raise InputError(f"Distillation: there is no file {self.weights}; train the teacher first.")

    def describe(self) -> dict[str, Any]:
        """As any objective's, with the hash of the file in place of its name."""
        found = super().describe()
        return found | {"weights": hashlib.sha256(Path(self.weights).read_bytes()).hexdigest()}

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Load the teacher onto the device of the student.

        Raises:
            InputError: If the teacher cannot be built, or the file does not hold its weights.
        """
        teacher: nn.Module = call(self.builder, self.kwargs, "builder")
        try:
            load_weights(teacher, Path(self.weights))
        except (RuntimeError, SafetensorError) as error:
            raise InputError(
                f"Distillation: {self.weights} does not hold the weights of {self.builder} with the arguments"
                f" {dict(self.kwargs)}: {' '.join(str(error).split())[:200]}"
            ) from error
        teacher.eval().requires_grad_(False)
        self._teacher["model"] = teacher.to(next(model.parameters()).device)

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch."""
        plain = CrossEntropy()(model, batch, generator)
        with torch.no_grad():
            taught = self._teacher["model"](batch.inputs)
        learnt = batch.outputs(model)
        if taught.shape != learnt.shape:
            raise InputError(
                f"Distillation: the teacher puts out {tuple(taught.shape)} and the student"
                f" {tuple(learnt.shape)}; both need the same classes."
            )
        p, q = ((logits / self.temperature).log_softmax(-1) for logits in (taught, learnt))
        divergence = (p.exp() * (p - q)).sum(-1).mean()
        loss: Tensor = self.share * self.temperature**2 * divergence + (1 - self.share) * plain
        return loss

"""The error with which inputs can be made of the features again, as a term of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Generator, Tensor, nn

from landscape.errors import InputError
from landscape.reference.training.objective import Batch, Objective

__all__ = ["Reconstruction"]


@dataclass(frozen=True)
class Reconstruction(Objective):
    """Mean squared error of what the network's decoder makes of the features, over all numbers of an input.

    ``CrossEntropy() + λ * Reconstruction()`` keeps in the features what the classes alone would let go. The
    published weights are (1, λ) for λ < 1 and (1/λ, 1) beyond, the same up to the step size. The network is
    one of `landscape.reference.uncertainty.mir_network`.

    Raises:
        InputError: If the network has no decoder.

    Reference:
        Postels et al. (2022), On the practicality of deterministic epistemic uncertainty, section 3.
    """

    def begin(self, model: nn.Module, data: Any, generator: Generator) -> None:
        """Refuse a network without a decoder."""
        if not hasattr(model, "reconstruction"):
            raise InputError(
                f"Reconstruction: {type(model).__name__} has no decoder; make one by mir_network."
            )

    def __call__(self, model: Any, batch: Batch, generator: Generator) -> Tensor:
        """The error of the batch."""
        made: Tensor = model.reconstruction(batch.outputs(model))
        return (made - batch.inputs.flatten(1)).square().mean()

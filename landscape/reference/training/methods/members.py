"""The loss of an ensemble whose members are trained together: that of each, not of their mean."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor, nn
from torch.nn import functional

from landscape.core.behaviour.predictive import Predictive
from landscape.errors import InputError
from landscape.reference.training.objective import Batch, Objective

__all__ = ["MemberCrossEntropy"]


@dataclass(frozen=True)
class MemberCrossEntropy(Objective):
    """Mean over members of their cross-entropies, nats, as if each were alone.

    It is at least the cross-entropy of the mean prediction (Jensen), and equal if members agree. In a sum it
    stands first: the members are heard in the one pass that all terms share.

    Raises:
        InputError: If the model has no draws of classes, or the pass was made before.

    Reference:
        Turkoglu et al. (2022), FiLM-Ensemble, section 3.
    """

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch."""
        if not isinstance(model, Predictive):
            raise InputError(
                f"MemberCrossEntropy: {type(model).__name__} has no members, it is no Predictive."
            )
        with model.heard() as heard:
            batch.outputs(model)
        if not heard or heard[0].log_p is None:
            raise InputError(
                "MemberCrossEntropy hears classes of members, and stands first in a sum of objectives."
            )
        log_p = heard[0].log_p
        loss = _loss(log_p, batch.targets)
        if batch.share == 1.0:
            return loss
        return batch.share * loss + (1 - batch.share) * _loss(log_p, batch.targets.flip(0))


def _loss(log_p: Tensor, labels: Tensor) -> Tensor:
    """Of log probabilities (S, N, C), all members together."""
    return functional.nll_loss(log_p.flatten(0, 1), labels.repeat(len(log_p)))

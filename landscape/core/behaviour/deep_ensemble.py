"""Deep ensembles: networks trained from different starts, whose predictions are averaged."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from landscape.core.behaviour.predictive import Kind, Mixture
from landscape.errors import InputError

__all__ = ["DeepEnsemble"]


class DeepEnsemble(Mixture):
    """Networks whose predictions are averaged.

    The forward pass gives log mean probabilities, which are logits: cross-entropy, accuracy and calibration
    of this module are those of the averaged prediction. Of a regression it gives the mean and the variance of
    the mixture of the members' Gaussians, as one Gaussian.

    Args:
        members: Classifiers with the same classes, or networks trained on ``gaussian_nll``, or predictives.
        kind: What members predict that are no predictives: ``classification`` or ``regression``.

    Raises:
        InputError: If there are none, or no such kind.

    Reference:
        Lakshminarayanan et al. (2017), Simple and scalable predictive uncertainty, section 2.4.
    """

    def __init__(self, members: Sequence[nn.Module], kind: Kind = "classification") -> None:
        if not members:
            raise InputError("a deep ensemble needs at least one member.")
        super().__init__(members, kind)

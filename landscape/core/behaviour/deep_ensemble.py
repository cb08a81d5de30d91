"""Deep ensembles: networks trained from different starts, whose predictions are averaged."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from landscape.core.behaviour.predictive import Mixture
from landscape.errors import InputError

__all__ = ["DeepEnsemble"]


class DeepEnsemble(Mixture):
    """Networks whose predicted probabilities are averaged.

    The forward pass gives log mean probabilities, which are logits: cross-entropy, accuracy and calibration
    of this module are those of the averaged prediction.

    Args:
        members: Classifiers with the same classes.

    Raises:
        InputError: If there are none.

    Reference:
        Lakshminarayanan et al. (2017), Simple and scalable predictive uncertainty, section 2.4.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        if not members:
            raise InputError("a deep ensemble needs at least one member.")
        super().__init__(members)

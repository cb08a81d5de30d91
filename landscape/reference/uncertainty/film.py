"""FiLM-Ensemble: one network whose norms have statistics and an affine map for each member."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.errors import InputError
from landscape.reference.layers.film import FiLMNorm2d

__all__ = ["FiLMEnsemble", "film", "film_member", "members_as_plain"]


class FiLMEnsemble(Predictive):
    """The mean of the probabilities of the members of a network with `FiLMNorm2d`.

    Convolutions and the head are shared; a member costs two numbers for each channel, and a pass of its own.
    It is trained by `landscape.reference.training.MemberCrossEntropy`.

    Args:
        network: A classifier of images with norms of one number of members.
        member: Which member predicts alone, so that the members of one file can be looked at one by one;
            ``None`` for the mean of all.

    Raises:
        InputError: If there are no such norms, they differ in their number of members, or there is no such
            member.

    Reference:
        Turkoglu et al. (2022), FiLM-Ensemble: Probabilistic deep learning via feature-wise linear modulation.
    """

    def __init__(self, network: nn.Module, member: int | None = None) -> None:
        super().__init__()
        counts = {part.members for part in network.modules() if isinstance(part, FiLMNorm2d)}
        if len(counts) != 1:
            found = " and ".join(map(str, sorted(counts))) or "none"
            raise InputError(f"a FiLM-Ensemble has norms of one number of members; here are {found}.")
        (self.size,) = counts
        if member is not None and not 0 <= member < self.size:
            raise InputError(
                f"a FiLM-Ensemble of {self.size} has members 0 to {self.size - 1}, not {member}."
            )
        self.network = network
        self.member = member

    def members(self, x: Tensor) -> Tensor:
        """Logits (N, M, C) of each member for images (N, ...)."""
        logits: Tensor = self.network(x.repeat_interleave(self.size, 0))
        return logits.reshape(len(x), self.size, -1)

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The prediction of each member, or of the one that predicts alone.

        Args:
            x: Images (N, ...).
            samples: How many members, from the first on; ``None``, or more than there are, for all.
            seed: Decides nothing: the members are given.

        Raises:
            InputError: If no member is asked for.
        """
        if samples is not None and samples < 1:
            raise InputError(f"a FiLM-Ensemble predicts with one member or more, not {samples}.")
        chosen = slice(0, samples) if self.member is None else slice(self.member, self.member + 1)
        return Draws("classification", log_p=self.members(x)[:, chosen].log_softmax(-1).transpose(0, 1))


def film(network: nn.Module, members: int, gain: float = 2.0, center: float = 1.0) -> FiLMEnsemble:
    """Give every `torch.nn.BatchNorm2d` of a network members, in place, and make a predictive of it.

    Args:
        network: A classifier of images.
        members: Members.
        gain: As `FiLMNorm2d`; 0 for members that are the same.
        center: As `FiLMNorm2d`.

    Raises:
        InputError: If there is no BatchNorm, or a number is out of range.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, FiLMNorm2d.like(child, members, gain, center))
    return FiLMEnsemble(network)


def members_as_plain(model: FiLMEnsemble) -> list[nn.Module]:
    """Each member as the network it would be alone: what the builder without members makes and loads.

    Args:
        model: The ensemble; it is left alone.
    """
    return [_plain(model, member) for member in range(model.size)]


def film_member(members: Sequence[nn.Module], index: int = 0) -> nn.Module:
    """The predictive of a manifest that is one member of a FiLM-Ensemble, as a plain network.

    Args:
        members: The ensemble alone.
        index: Which of its members.

    Raises:
        InputError: If that is not one FiLM-Ensemble, or it has no such member.
    """
    if len(members) != 1 or not isinstance(members[0], FiLMEnsemble):
        kinds = ", ".join(type(one).__name__ for one in members)
        raise InputError(f"film_member takes one FiLM-Ensemble, not {kinds or 'nothing'}.")
    ensemble = FiLMEnsemble(members[0].network, index)  # which says what is wrong with the index
    return _plain(ensemble, index)


def _plain(model: FiLMEnsemble, member: int) -> nn.Module:
    network = copy.deepcopy(model.network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, FiLMNorm2d):
                setattr(parent, name, child.plain(member))
    return network

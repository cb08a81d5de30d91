"""BatchNorm with statistics and an affine map for each member of an ensemble that shares all else."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from landscape.errors import InputError

__all__ = ["FiLMNorm2d"]


class FiLMNorm2d(nn.Module):
    """``γ_m (x − μ_m)/√(σ²_m + ε) + β_m``: a BatchNorm of its own for each of M members.

    A batch holds every example once per member, the members of one example in neighbouring rows. Member m
    is normalised by the statistics of its own rows, in training by those of the batch and else by running
    ones. At the start γ and β are uniform on ± ``gain`` · √(6/(M + C)), γ about `center` and β about 0: the
    gain alone makes members differ, so that at 0 they are the same and stay so.

    Args:
        channels: Channels C of a map.
        members: Members M.
        gain: Gain of the uniform distribution of Glorot & Bengio (2010) of the (M, C) numbers γ, and β.
        center: What γ is drawn about: 1, or 0 as published.

    Attributes:
        norm: All members' statistics, γ and β, as those of M·C channels, member by member.

    Raises:
        InputError: If a size is not positive, or the gain negative.

    Reference:
        Turkoglu et al. (2022), FiLM-Ensemble, section 3; gain 1, center 0, unbiased variances and running
        averages of momentum 0.9 in their code, where torch has 0.1.
    """

    def __init__(self, channels: int, members: int, gain: float = 2.0, center: float = 1.0) -> None:
        super().__init__()
        if channels < 1 or members < 1:
            raise InputError(
                f"FiLMNorm2d: channels and members are at least 1, not {channels} and {members}."
            )
        if not 0 <= gain < math.inf:
            raise InputError(f"FiLMNorm2d: gain is a number from 0 on, not {gain}.")
        self.channels, self.members = channels, members
        self.norm = nn.BatchNorm2d(members * channels)
        reach = gain * math.sqrt(6 / (members + channels))
        with torch.no_grad():
            self.norm.weight.uniform_(-reach, reach).add_(center)
            self.norm.bias.uniform_(-reach, reach)

    @classmethod
    def like(cls, norm: nn.BatchNorm2d, members: int, gain: float, center: float) -> FiLMNorm2d:
        """That for each member which a BatchNorm is for one network."""
        made = cls(norm.num_features, members, gain, center)
        made.norm.eps, made.norm.momentum = norm.eps, norm.momentum
        like = norm.weight if norm.affine else norm.running_mean
        return made if like is None else made.to(like)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N·M, C, H, W) to the same shape.

        Raises:
            InputError: If the rows are not M to an example, or there are other channels.
        """
        rows, channels = x.shape[:2]
        if rows % self.members or channels != self.channels:
            raise InputError(
                f"FiLMNorm2d takes {self.channels} channels and {self.members} rows for each example; got"
                f" {tuple(x.shape)}."
            )
        # the members of an example are neighbours, so that all its maps lie in a row
        together = x.reshape(rows // self.members, self.members * channels, *x.shape[2:])
        normalised: Tensor = self.norm(together)
        return normalised.reshape(x.shape)

    def plain(self, member: int) -> nn.BatchNorm2d:
        """The BatchNorm of one member, with copies of its numbers."""
        made = nn.BatchNorm2d(self.channels, self.norm.eps, self.norm.momentum).to(self.norm.weight)
        part = slice(member * self.channels, (member + 1) * self.channels)
        state = {name: v if v.ndim == 0 else v[part] for name, v in self.norm.state_dict().items()}
        made.load_state_dict(state)
        return made.train(self.training)

    def extra_repr(self) -> str:
        """Its sizes."""
        return f"{self.channels}, members={self.members}"

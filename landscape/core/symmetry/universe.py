"""Several models aligned at once: one order of units for all, so that going round a cycle changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.ambient import under_own_context
from landscape.core.symmetry.alignment import Checked, check_states
from landscape.core.symmetry.groups import TensorBlock
from landscape.core.symmetry.symmetry import Forward, Motion, Symmetry, move
from landscape.core.symmetry.weight_matching import compose, inner, match_weights
from landscape.errors import InputError

__all__ = ["Universe", "align_all", "inverse"]

_LEAST = 1e-12  # relative; below it a gain of the objective is rounding


@dataclass(frozen=True)
class Universe:
    """Models in one order of units.

    Attributes:
        states: Parameters and buffers of each, moved; the first model's are its own.
        motions: By model, by number of the group: position i of the universe holds unit ``motion[...][i]``.
        objective_before: Sum over the pairs of models of ⟨θₚ, θ_q⟩ over the parameters that can move.
        objective_after: The same of the moved ones.
        output_errors: By model, the largest difference of its outputs, in units of the largest.
        rounds: Passes over all models.
        converged: Whether the last one changed nothing.
        symmetry: The groups of the model.
    """

    states: tuple[dict[str, Tensor], ...]
    motions: tuple[dict[int, Tensor], ...]
    objective_before: float
    objective_after: float
    output_errors: tuple[float, ...]
    rounds: int
    converged: bool
    symmetry: Symmetry

    def between(self, p: int, q: int) -> dict[int, Tensor]:
        """The motion P_pq = P_p P_qᵀ that puts model q in the order of model p, by number of the group.

        P_pq P_qr = P_pr holds exactly, since all go through the universe.
        """
        return compose(self.symmetry, self.motions[q], inverse(self.symmetry, self.motions[p]))


@under_own_context
def align_all(
    model: nn.Module,
    states: Sequence[Mapping[str, Tensor]],
    *,
    inputs: Any,
    forward: Forward | None = None,
    seed: int = 0,
    sweeps: int = 100,
    rounds: int = 100,
) -> Universe:
    """Put the units of several models in one order, by their weights.

    The order raises Σ_{p<q} ⟨P_p θ_p, P_q θ_q⟩ over all models at once, the objective of Crisostomi et al.:
    no model is the one that others are brought to. From an alignment of each to the first, one model after
    another is matched to the sum of the others, which raises the objective, until no match does; Crisostomi
    et al. take Frank-Wolfe steps on all at once instead. The universe is then put in the first's order.

    Args:
        model: The module that all belong to; it is not changed.
        states: States of the models, two or more. Buffers that are missing are those of ``model``.
        inputs: A batch of the model's inputs, or a list of batches; they trace the model and verify.
        forward: ``(model, inputs) -> output`` for models that are called in another way.
        seed: Decides the order of the groups.
        sweeps: The most passes over the groups in each match.
        rounds: The most passes over the models.

    Raises:
        InputError: If there are fewer than two, a state does not fit, or as `landscape.align`.

    Reference:
        Crisostomi et al. (2024), C²M³: cycle-consistent multi-model merging, equation 2; Ainsworth et al.
        (2023), Git Re-Basin, algorithm 3.

    Example:
        >>> build = lambda: nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> model = build()
        >>> copy = {n: t[[2, 0, 1]] if t.shape[0] == 3 else t for n, t in model.state_dict().items()}
        >>> copy["2.weight"] = copy["2.weight"][:, [2, 0, 1]]
        >>> found = align_all(model, [model.state_dict(), copy], inputs=torch.zeros(1, 2))
        >>> all(torch.equal(found.states[1][n], t) for n, t in model.state_dict().items())
        True
    """
    if len(states) < 2:
        raise InputError(f"align_all takes the states of two or more models; got {len(states)}.")
    checked = check_states(model, states, inputs, forward)
    symmetry = checked.symmetry
    parts = [{n: s[n].detach().cpu() for n in checked.names} for s in checked.states]
    before = _objective(parts)
    motions = [symmetry.identity()]
    for part in parts[1:]:
        found = match_weights(symmetry, parts[0], part, seed=seed, sweeps=sweeps, rotate=False)
        motions.append(found.motion)
    moved = [symmetry.apply(m, p) for m, p in zip(motions, parts, strict=True)]
    if _objective(moved) < before:  # as in `match_weights`: never below what there was without
        motions, moved = [symmetry.identity() for _ in parts], list(parts)
    done, converged = _ascend(symmetry, moved, motions, seed, sweeps, rounds)
    home = inverse(symmetry, motions[0])
    motions = [compose(symmetry, motion, home) for motion in motions]
    return Universe(
        states=tuple(symmetry.apply(m, s) for m, s in zip(motions, checked.states, strict=True)),
        motions=tuple(motions),
        objective_before=before,
        objective_after=_objective(moved),
        output_errors=tuple(_errors(checked, motions)),
        rounds=done,
        converged=converged,
        symmetry=symmetry,
    )


def _ascend(
    symmetry: Symmetry,
    moved: list[dict[str, Tensor]],
    motions: list[dict[int, Tensor]],
    seed: int,
    sweeps: int,
    rounds: int,
) -> tuple[int, bool]:
    """Match each model to the sum of the others, in place, until nothing changes."""
    if len(moved) == 2:  # they are matched to one another already
        return 0, True
    scale = sum(inner(p[n], p[n]) for p in moved for n in p)
    for done in range(1, rounds + 1):
        changed = False
        for k, own in enumerate(moved):
            others = [p for i, p in enumerate(moved) if i != k]
            rest = {n: torch.stack([p[n].double() for p in others]).sum(0) for n in own}
            own = {n: t.double() for n, t in own.items()}
            found = match_weights(symmetry, rest, own, seed=seed, sweeps=sweeps, rotate=False, start=False)
            there = symmetry.apply(found.motion, own)
            gain = sum(inner(rest[n], there[n]) - inner(rest[n], own[n]) for n in own)
            if gain > _LEAST * scale:
                moved[k] = symmetry.apply(found.motion, moved[k])
                motions[k] = compose(symmetry, motions[k], found.motion)
                changed = True
        if not changed:
            return done, True
    return rounds, False


def _objective(parts: Sequence[Mapping[str, Tensor]]) -> float:
    return sum(inner(a[n], b[n]) for a, b in combinations(parts, 2) for n in a)


def _errors(checked: Checked, motions: Sequence[Motion]) -> list[float]:
    return [checked.verify(k, motion) for k, motion in enumerate(motions)]


def inverse(symmetry: Symmetry, motion: Motion) -> dict[int, Tensor]:
    """The motion that undoes permutations: `compose` of the two is the identity.

    Args:
        symmetry: The groups.
        motion: Permutations by number of the group.
    """
    undone: dict[int, Tensor] = {}
    for number in sorted(motion, key=lambda n: len(symmetry.groups[n].within)):
        dims = (*symmetry.groups[number].within, number)
        block = TensorBlock((), dims, tuple(range(len(dims))), (), whole=True)
        outer = {n: undone[n] for n in dims[:-1] if n in undone}
        # What a unit within others came from is asked at the place where these came from.
        undone[number] = move(motion[number].argsort(-1), block, symmetry.groups, outer)
    return undone

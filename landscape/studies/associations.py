"""Associations: the claim that two numbers go together over models of several kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscape.errors import InputError
from landscape.studies.claims import Claim, above, jackknife
from landscape.studies.measured import Effect, Measured

__all__ = ["Association", "rank_correlation"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Association:
    """The claim that one number rises with another, over the models of all seeds of some kinds.

    The effect is Spearman's ρ. Models of one seed share the order of the data, so both intervals are over
    seeds, by the jackknife: they say nothing of other kinds.

    Attributes:
        claim: What is said, so that ρ is positive if it holds, or negative with ``sign``.
        effect: The number that rises, see `landscape.studies.effects`.
        of: Whose results it is read off, as in `landscape.studies.Finding`.
        over: The number with which it rises.
        over_of: Whose results that is read off.
        kinds: The kinds of models, two or more: within one there is chance alone.
        sign: −1 if the number is said to fall.
        note: What else a reader must know.
        paper: Where it is said, if not in the paper of the study.

    Raises:
        InputError: If fewer than two kinds are named.
    """

    claim: str
    effect: Effect
    of: str
    over: Effect
    over_of: str
    kinds: tuple[str, ...]
    sign: int = 1
    note: str = ""
    paper: str = ""

    def __post_init__(self) -> None:
        if len(self.kinds) < 2:
            raise InputError(f"the association '{self.claim}' must name two kinds of models or more.")

    def judge(self, measured: Measured, paper: str) -> Claim:
        """How it fared."""
        rows = [
            [measured.numbers(of, effect, kind) for kind in self.kinds]
            for of, effect in ((self.over_of, self.over), (self.of, self.effect))
        ]
        over, rises = (self.sign * np.array(rows[0], dtype=np.float64), np.array(rows[1], dtype=np.float64))
        whole = rank_correlation(over.ravel(), rises.ravel())
        without = [
            rank_correlation(np.delete(over, seed, 1).ravel(), np.delete(rises, seed, 1).ravel())
            for seed in range(over.shape[1])
        ]
        notes = (f"{over.size} models of {len(self.kinds)} kinds; jackknife over seeds", self.note)
        return above(
            self.claim,
            self.paper or paper,
            jackknife(whole, without),
            unit="Spearman's ρ" + (", signed as claimed" if self.sign < 0 else ""),
            note="; ".join(filter(None, notes)),
        )


def rank_correlation(x: Sequence[float] | Array, y: Sequence[float] | Array) -> float:
    """Spearman's ρ of two lists of numbers; NaN with a number missing, or if all of a list are equal."""
    from scipy.stats import rankdata

    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    a, b = (rank - rank.mean() for rank in (rankdata(x), rankdata(y)))
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else float("nan")

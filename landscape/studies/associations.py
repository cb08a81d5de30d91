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

    The effect is Spearman's ρ, or with `rather_than` the difference of two of them. Models of one seed share
    the order of the data, so both intervals are over seeds, by the jackknife: they say nothing of other
    kinds.

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
        rather_than: Another number of the same results as ``over``, with which it is said to rise less.

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
    rather_than: Effect | None = None

    def __post_init__(self) -> None:
        if len(self.kinds) < 2:
            raise InputError(f"the association '{self.claim}' must name two kinds of models or more.")

    def judge(self, measured: Measured, paper: str) -> Claim:
        """How it fared."""
        rises = self._rows(measured, self.of, self.effect)
        sides = [self.sign * self._rows(measured, self.over_of, self.over)]
        if self.rather_than is not None:
            sides.append(self.sign * self._rows(measured, self.over_of, self.rather_than))

        def effect(seeds: NDArray[np.int64]) -> float:
            found = [rank_correlation(side[:, seeds].ravel(), rises[:, seeds].ravel()) for side in sides]
            return found[0] - (found[1] if len(found) > 1 else 0.0)

        seeds = np.arange(rises.shape[1])
        whole, without = effect(seeds), [effect(np.delete(seeds, seed)) for seed in seeds]
        notes = (f"{rises.size} models of {len(self.kinds)} kinds; jackknife over seeds", self.note)
        return above(
            self.claim,
            self.paper or paper,
            jackknife(whole, without),
            unit=("Spearman's ρ" if self.rather_than is None else "difference of Spearman's ρ")
            + (", signed as claimed" if self.sign < 0 else ""),
            note="; ".join(filter(None, notes)),
            level=measured.level,
        )

    def _rows(self, measured: Measured, of: str, effect: Effect) -> Array:
        """A number of every model, by kind and by seed."""
        return np.array([measured.numbers(of, effect, kind) for kind in self.kinds], dtype=np.float64)


def rank_correlation(x: Sequence[float] | Array, y: Sequence[float] | Array) -> float:
    """Spearman's ρ of two lists of numbers; NaN with a number missing, or if all of a list are equal."""
    from scipy.stats import rankdata

    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    a, b = (rank - rank.mean() for rank in (rankdata(x), rankdata(y)))
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else float("nan")

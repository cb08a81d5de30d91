"""Findings: what a paper says of kinds of models, as data that a run of a study decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from landscape.errors import InputError
from landscape.studies.claims import Claim, above, contrast
from landscape.studies.measured import Effect, Measured
from landscape.studies.training import describe

__all__ = ["Finding", "Judgeable"]


class Judgeable(Protocol):
    """What a study can decide."""

    @property
    def of(self) -> str:
        """Whose results it reads: a label of `landscape.studies.On`, ``training``, ``ensemble`` or a grid."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of models it speaks of."""

    def judge(self, measured: Measured, paper: str) -> Claim:
        """How it fared, and what says so: ``paper``, unless it has a source of its own."""


@dataclass(frozen=True)
class Finding:
    """A claim on one or two kinds of models, decided over training seeds or over cohorts.

    Either an effect is larger in ``more`` than in ``than``, or that of one kind lies ``above_zero`` or
    ``below_zero``.

    Attributes:
        claim: What is said.
        effect: A number of a result, see `landscape.studies.effects`.
        of: Whose results it is read off: a label of `landscape.studies.On`; ``training`` for losses and
            accuracies; ``ensemble`` for deep ensembles of all seeds, with a score of
            `landscape.studies.ensembles.Ensemble`.
        more: The kind of which it is said to be larger.
        than: The kind of which it is said to be smaller.
        than_effect: The number of ``than``, if it is another than that of ``more``.
        above_zero: The kind of which it is said to be positive.
        below_zero: The kind of which it is said to be negative.
        unit: Unit of the effect.
        scale: What numbers are multiplied by, such as 100 for percentage points.
        note: What else a reader must know.
        sizes: Whether the note says how large the two kinds of models are, and how well they are trained.
        paper: Where it is said, if not in the paper of the study.
        by_cohort: Whether there is one number per cohort, the mean over its seeds or that of an average of
            them, and two kinds are paired by cohort: for cohorts that are random parts of the same data.
    """

    claim: str
    effect: Effect
    of: str
    more: str = ""
    than: str = ""
    than_effect: Effect | None = None
    above_zero: str = ""
    below_zero: str = ""
    unit: str = ""
    scale: float = 1.0
    note: str = ""
    sizes: bool = False
    paper: str = ""
    by_cohort: bool = False

    def __post_init__(self) -> None:
        if (bool(self.more), bool(self.than), bool(self.above_zero) + bool(self.below_zero)) not in (
            (True, True, 0),
            (False, False, 1),
        ):
            raise InputError(
                f"the finding '{self.claim}' must name either two kinds of models, more and than, or one,"
                " above_zero or below_zero."
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of models it speaks of."""
        named = (self.more, self.than, self.above_zero, self.below_zero)
        return tuple(kind for kind in named if kind)

    def judge(self, measured: Measured, paper: str) -> Claim:
        """How it fared."""
        effects = (self.effect, self.than_effect or self.effect)
        read = measured.by_cohort if self.by_cohort else measured.numbers
        numbers = [
            self.scale * np.array(read(self.of, effect, kind))
            for kind, effect in zip(self.kinds, effects, strict=False)
        ]
        note = "; ".join(self._notes(measured))
        source = self.paper or paper
        if self.more and self.by_cohort:
            paired = numbers[0] - numbers[1]
            return above(self.claim, source, paired, unit=self.unit, note=note, level=measured.level)
        if self.more:
            return contrast(self.claim, source, *numbers, unit=self.unit, note=note, level=measured.level)
        sign = -1 if self.below_zero else 1
        return above(self.claim, source, sign * numbers[0], unit=self.unit, note=note, level=measured.level)

    def _notes(self, measured: Measured) -> Iterator[str]:
        if self.note:
            yield self.note
        if self.sizes:
            yield from (describe(measured.models([kind])) for kind in self.kinds)

"""Which checks of a problem's derivatives were made, and what they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from landscape.core.problem.derivatives.twin import Twin, make_twin
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["Check", "DerivativeRecord"]

Check = Callable[["Problem", Twin | None], None]
"""A check of a problem with its twin, if it has one; it raises if derivatives are wrong."""


@dataclass
class DerivativeRecord:
    """What is known of the derivatives of a problem, and of all that share its model.

    Attributes:
        wanted: Whether derivatives are checked at all.
        asked: Whether derivatives were taken.
        unknown: Why a check could not tell, by its name.
        without_gradient: Names of parameters that the loss does not depend on.
    """

    wanted: bool = True
    asked: bool = False
    unknown: dict[str, str] = field(default_factory=dict)
    without_gradient: tuple[str, ...] = ()
    _made: set[Check] = field(default_factory=set)
    _refused: dict[Check, str] = field(default_factory=dict)

    def needs(self, checks: Sequence[Check]) -> bool:
        """Whether one of these checks is still to be made, or refuses."""
        self.asked = True
        return self.wanted and any(c not in self._made or c in self._refused for c in checks)

    def make(self, problem: Problem, checks: Sequence[Check]) -> None:
        """Make checks that were not made; one that refuses does so each time.

        Raises:
            InputError: If a check refuses.
        """
        twin = None
        for check in checks:
            if check in self._refused:
                raise InputError(self._refused[check])
            if check in self._made:
                continue
            twin = make_twin(problem) if twin is None else twin
            try:
                check(problem, twin)
            except InputError as error:
                self._refused[check] = str(error)
                raise
            self._made.add(check)

    def facts(self) -> dict[str, str]:
        """What a result should remember: nothing of a problem whose derivatives were found right."""
        facts = {}
        if self.asked and not self.wanted:
            facts["derivatives_notice"] = "derivatives were not checked (check_derivatives=False)"
        elif self.unknown:
            reasons = dict.fromkeys(self.unknown.values())
            facts["derivatives_notice"] = f"derivatives could not be checked: {'; '.join(reasons)}"
        if self.without_gradient:
            facts["without_gradient"] = ", ".join(self.without_gradient)
        return facts

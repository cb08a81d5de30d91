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


@dataclass(frozen=True)
class _Finding:
    """What a check that did not refuse has left."""

    unknown: dict[str, str]
    without_gradient: tuple[str, ...]


@dataclass
class DerivativeRecord:
    """What is known of the derivatives of a problem, and of all that share its model.

    Attributes:
        wanted: Whether derivatives are checked at all.
        unknown: Why the last check that was made could not tell, by what it checks.
        without_gradient: Names of parameters that it found the loss not to depend on.
    """

    wanted: bool = True
    unknown: dict[str, str] = field(default_factory=dict)
    without_gradient: tuple[str, ...] = ()
    _made: dict[Check, _Finding] = field(default_factory=dict)
    _refused: dict[Check, str] = field(default_factory=dict)
    _asked: dict[Check, None] = field(default_factory=dict)

    def begin(self) -> None:
        """Begin a result: its `facts` are those of the checks that it asks for, not of results before it."""
        self._asked.clear()

    def needs(self, checks: Sequence[Check]) -> bool:
        """Whether one of these checks is still to be made, or refuses."""
        self._asked.update(dict.fromkeys(checks))
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
            self.unknown, self.without_gradient = {}, ()
            try:
                check(problem, twin)
            except InputError as error:
                self._refused[check] = str(error)
                raise
            self._made[check] = _Finding(self.unknown, self.without_gradient)

    def facts(self) -> dict[str, str]:
        """What a result should remember: nothing of a problem whose derivatives were found right."""
        facts = {}
        found = [self._made[check] for check in self._asked if check in self._made]
        reasons = dict.fromkeys(why for finding in found for why in finding.unknown.values())
        names = dict.fromkeys(name for finding in found for name in finding.without_gradient)
        if self._asked and not self.wanted:
            facts["derivatives_notice"] = "derivatives were not checked (check_derivatives=False)"
        elif reasons:
            facts["derivatives_notice"] = f"derivatives could not be checked: {'; '.join(reasons)}"
        if names:
            facts["without_gradient"] = ", ".join(names)
        return facts

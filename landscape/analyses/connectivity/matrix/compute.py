"""What ``connectivity`` computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.connectivity._profiles import (
    QUANTITIES,
    Aligner,
    Meter,
    barrier_values,
    barrier_variables,
    check_alike,
    group_by_architecture,
    held_out,
    profile,
)
from landscape.analyses.connectivity.matrix.options import ConnectivityParams
from landscape.analyses.connectivity.matrix.schema import PAIRS
from landscape.base.analysis import Context

if TYPE_CHECKING:
    from landscape.base.ledger import Ledger
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]

Array = NDArray[np.float64]

AS_TRAINED, ALIGNED = "as trained", "aligned"


def compute(
    problems: Mapping[str, Problem], params: ConnectivityParams, context: Context
) -> Mapping[str, Any]:
    """The line between every two models of one architecture, before and after alignment; then soups."""
    from landscape.core.problem.batchnorm import policy_in_force

    names, every = list(problems), list(problems.values())
    check_alike(problems)
    test = held_out(every[0], params.test, params.test_kwargs, context)
    ledger = context.ledger
    kinds = [AS_TRAINED] if params.align is None else [AS_TRAINED, ALIGNED]
    families = group_by_architecture(every)
    splits = 1 if test is None else 2
    points = params.steps + 2 * params.refine
    count = sum(len(f) * (len(f) - 1) // 2 for f in families) * len(kinds)
    meter = Meter(context.progress, (count * points + 4 * len(every)) * splits)
    lines = _Lines(every, [policy_in_force(p, params.batchnorm) for p in every], params, test, ledger, meter)
    data = _matrices(lines, kinds, families, splits)
    soups = [soup for family in families if len(family) > 1 for soup in _soups(lines, family, kinds, names)]
    alone = [lines.alone(i, lines.states[i]) for i in range(len(every))]
    # The passes were estimated: of soups nobody knows beforehand how many are tried.
    meter.reach(np.inf)
    return data | {
        "alignment": np.array(kinds),
        "model": np.array(names),
        "other": np.array(names),
        "split": np.array(["train", "test"][:splits]),
        "quantity": np.array(QUANTITIES),
        "quantity_unit": np.array([LOSS_UNIT, LOSS_UNIT, "%"]),
        **_with_diagonal(data, alone),
        "family": np.array([next(f for f, m in enumerate(families) if i in m) for i in range(len(every))]),
        "model_loss": np.array([own[0] for own in alone]).T,
        "model_error": np.array([own[-1] for own in alone]).T,
        **_trees(data["saddle"][..., 0, 0], names, len(every) - len(families)),
        "soup": np.array([name for name, *_ in soups], dtype=str),
        "soup_members": np.array([members for _, members, _ in soups], dtype=str),
        "soup_loss": np.array([found[0] for *_, found in soups]).reshape(-1, splits).T,
        "soup_error": np.array([found[-1] for *_, found in soups]).reshape(-1, splits).T,
        "examples": np.array([every[0].examples, *([] if test is None else [sum(b.size for b in test)])]),
        "batchnorm_policy": lines.policies[0],
    }


class _Lines:
    """Lines between models, measured once each.

    Attributes:
        states: Whole state of each model.
        policies: BatchNorm policy of each.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        policies: Sequence[Any],
        params: ConnectivityParams,
        test: Any,
        ledger: Ledger,
        meter: Meter,
    ) -> None:
        self.problems = problems
        self.policies = policies
        self.params = params
        self.states = [p.module.state_dict() for p in problems]
        self._test, self._ledger, self._meter = test, ledger, meter
        self._moved: dict[tuple[int, int], tuple[dict[str, Any], float]] = {}
        self._aligner = 0, Aligner(problems[0], params.align, params.seed)

    def moved(self, i: int, j: int) -> tuple[dict[str, Any], float]:
        """Model j in the order of i, and the change of its outputs."""
        if i == j:
            return self.states[i], 0.0
        if (i, j) not in self._moved:
            if i != self._aligner[0]:  # pairs come in the order of their first models
                self._aligner = i, Aligner(self.problems[i], self.params.align, self.params.seed)
            self._moved[i, j] = self._aligner[1](self.states[i], self.states[j])
        return self._moved[i, j]

    def barriers(self, kind: str, i: int, j: int, splits: int) -> tuple[dict[str, Array], float]:
        """All barriers on the line from i to j, arrays (splits, quantities), and its length."""
        import torch

        run = self._run(i, self.states[i], self.states[j] if kind == AS_TRAINED else self.moved(i, j)[0])
        name = f"{kind.replace(' ', '-')}-{i:03d}-{j:03d}"
        points = self.params.steps, self.params.refine
        measured = profile(name, run.subset, run, *points, self._ledger, self._meter)
        eps = torch.finfo(self.problems[i].dtype).eps
        options = {"resamples": self.params.resamples, "seed": self.params.seed}
        return barrier_values(measured, splits, **options, eps=eps), run.subset.chord

    def alone(self, i: int, state: Mapping[str, Any]) -> Array:
        """One state in the place of model i, (quantities, splits); not corrected by REPAIR."""
        found = self._run(i, state, state).measure(0.0)
        return np.array([[m.loss, m.data_loss, 100.0 * (1.0 - m.accuracy)] for m in found]).T

    def _run(self, i: int, a: Any, b: Any) -> Any:
        from landscape.core.connectivity.curve import straight
        from landscape.core.connectivity.end_states import curve_evaluator
        from landscape.core.problem.states import as_vector

        problem = self.problems[i]
        path = straight(as_vector(problem, a), as_vector(problem, b))
        return curve_evaluator(problem, path, a, b, policy=self.policies[i], test=self._test)


def _matrices(
    lines: _Lines, kinds: Sequence[str], families: Sequence[Sequence[int]], splits: int
) -> dict[str, Array]:
    """Barriers by name, (alignment, model, other, split, quantity); NaN for models that cannot be joined."""
    n = len(lines.problems)
    data: dict[str, Array] = {
        variable.name: np.full((len(kinds), n, n, splits, len(QUANTITIES)), np.nan)
        for variable in barrier_variables(PAIRS)
    }
    data["distance"] = np.full((len(kinds), n, n), np.nan)
    data["output_error"] = np.full((n, n), np.nan)
    for family in families:
        for k, kind in enumerate(kinds):
            data["distance"][k, family, family] = 0.0
            for i, j in combinations(family, 2):
                found, distance = lines.barriers(kind, i, j, splits)
                for name, values in found.items():
                    data[name][k, i, j] = data[name][k, j, i] = values
                data["distance"][k, i, j] = data["distance"][k, j, i] = distance
                if kind == ALIGNED:
                    data["output_error"][i, j] = data["output_error"][j, i] = lines.moved(i, j)[1]
    return data


def _with_diagonal(data: Mapping[str, Array], alone: Sequence[Array]) -> dict[str, Array]:
    """The matrices with a model against itself: no barrier, and its own loss and error."""
    found = {}
    for name in ("barrier_chord", "barrier_mean", "barrier_max", "mode_connectivity", "saddle", "arc_mean"):
        matrix = data[name].copy()
        for i, own in enumerate(alone):
            matrix[:, i, i] = own.T if name in ("saddle", "arc_mean") else 0.0
        found[name] = matrix
    return found


def _trees(saddles: Array, names: Sequence[str], edges: int) -> dict[str, Array]:
    """Minimum spanning forests over the saddles of the training loss (alignment, model, other)."""
    from landscape.core.connectivity.single_linkage import saddle_tree

    trees = [saddle_tree(matrix).merges for matrix in saddles]
    pad = [("", "", np.nan)] * edges  # a saddle that is not finite joins nothing
    rows = [[*((names[m.a], names[m.b], m.saddle) for m in merges), *pad][:edges] for merges in trees]
    return {
        "tree_a": np.array([[a for a, _, _ in row] for row in rows], dtype=str),
        "tree_b": np.array([[b for _, b, _ in row] for row in rows], dtype=str),
        "tree_saddle": np.array([[s for *_, s in row] for row in rows], dtype=float),
    }


def _soups(
    lines: _Lines, family: Sequence[int], kinds: Sequence[str], names: Sequence[str]
) -> list[tuple[str, str, Array]]:
    """Uniform averages of a family before and after alignment to its first model, and a greedy one."""
    from landscape.core.connectivity.soups import average, greedy

    first = family[0]
    made = []
    for kind in kinds:
        states = [lines.states[i] if kind == AS_TRAINED else lines.moved(first, i)[0] for i in family]
        # On the last split: held-out data if there are any, as in the paper, which chooses by them.
        chosen = greedy(states, lambda state: float(lines.alone(first, state)[0, -1]))
        recipes = {"uniform": list(range(len(family)))}
        if 1 < len(chosen) < len(family):  # else it is a model or the uniform average
            recipes["greedy"] = chosen
        for what, members in recipes.items():
            found = lines.alone(first, average([states[m] for m in members]))
            group = f"{names[first]} and {len(family) - 1} more"
            listed = ", ".join(names[family[m]] for m in members)
            made.append((f"{group}: {what}, {kind}", listed, found))
    return made

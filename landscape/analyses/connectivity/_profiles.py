"""What ``connect`` and ``connectivity`` share: held-out data, alignment, profiles that survive, barriers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.analyses._shared.captions import LIKELIHOODS, LOSS_UNIT
from landscape.base.schema import Variable
from landscape.core.connectivity.barriers import (
    BARRIERS,
    Profile,
    barrier_errors,
    refined_points,
    within_ends,
)
from landscape.core.connectivity.barriers import barriers as all_barriers
from landscape.errors import InputError, one_line
from landscape.imports import call

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.analysis import Context
    from landscape.base.ledger import Ledger
    from landscape.batchnorm_policy import BatchNormPolicy
    from landscape.core.connectivity.curve import Curve
    from landscape.core.problem.evaluator import Evaluator
    from landscape.core.problem.problem import Problem
    from landscape.core.symmetry.alignment import Traced

__all__ = [
    "QUANTITIES",
    "Aligner",
    "Measured",
    "Meter",
    "barrier_values",
    "barrier_variables",
    "check_alike",
    "group_by_architecture",
    "group_loss_unit",
    "held_out",
    "profile",
]

Array = NDArray[np.float64]

QUANTITIES = ("loss", "data_loss", "error")
"""Loss with the weight-decay term, loss without it, error in percent."""

CHUNK = 4
"""Points in one piece of a profile."""

_SPLITS = ("", "test_")
"""How the names of an evaluator's measures on training and on held-out data begin."""


class Meter:
    """Progress in units of forward passes.

    Args:
        report: Called with the finished fraction.
        total: Passes in all.

    Attributes:
        done: Passes so far.
    """

    def __init__(self, report: Callable[[float], None], total: float) -> None:
        self._report = report
        self._total = max(total, 1.0)
        self.done = 0.0

    def advance(self, passes: float) -> None:
        """Count some more passes."""
        self.reach(self.done + passes)

    def reach(self, passes: float) -> None:
        """Say that so many passes are done in all, some of them perhaps in an earlier run."""
        self.done = max(self.done, passes)
        self._report(min(self.done / self._total, 1.0))


@dataclass(frozen=True)
class Measured:
    """A path measured at T points on one or two splits of data.

    Attributes:
        t: Where, rising from 0 to 1 (T,).
        arc: Arc lengths (T,).
        values: ``data_loss``, ``penalty`` and ``error`` in percent, each (splits, T).
        losses: Data loss of each example by split, (T, N), or ``None``.
        errors: Error of each example in percent, likewise.
    """

    t: Array
    arc: Array
    values: Mapping[str, Array]
    losses: Sequence[Array | None]
    errors: Sequence[Array | None]

    def profile(self, quantity: str, split: int) -> Profile:
        """A quantity along the path on one split."""
        penalty = self.values["penalty"][split] * (quantity == "loss")
        examples = self.errors[split] if quantity == "error" else self.losses[split]
        if examples is not None:
            wrong = 100.0 if quantity == "error" else 0.0
            return Profile(self.t, self.arc, examples, penalty, wrong)
        mean = self.values["error" if quantity == "error" else "data_loss"][split]
        return Profile(self.t, self.arc, None, mean + penalty)


def profile(
    name: str,
    curve: Curve,
    run: Evaluator[float],
    steps: int,
    rounds: int,
    ledger: Ledger,
    meter: Meter,
) -> Measured:
    """Measure a path at evenly spaced t, and in rounds beside the largest gap of the training loss.

    Args:
        name: Of its pieces in the ledger.
        curve: The path.
        run: Measures its points.
        steps: Evenly spaced points, the ends among them.
        rounds: Of refinement, of two points each.
        ledger: Keeps finished pieces.
        meter: Counts a pass for each split of each point.
    """
    before = meter.done

    def measured(ts: Iterable[float]) -> dict[str, Array]:
        rows = []
        for t in ts:
            values = run.values(t)
            rows.append({"t": t, **values})
            meter.advance(float(sum(f"{split}data_loss" in values for split in _SPLITS)))
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    grid = np.linspace(0.0, 1.0, steps)
    parts = [grid[i : i + CHUNK] for i in range(0, steps, CHUNK)]
    pieces = ledger.collect([f"{name}-{i:03d}" for i in range(len(parts))], lambda i: measured(parts[i]))
    found = _sorted([*pieces])
    for turn in range(rounds):
        # By the training loss alone: all quantities and splits are measured at the same places.
        more = refined_points(found["t"], found["data_loss"] + found["penalty"])
        (piece,) = ledger.collect([f"{name}-round-{turn}"], lambda _, more=more: measured(more))  # type: ignore[misc]
        found = _sorted([found, piece])
    splits = [split for split in _SPLITS if f"{split}data_loss" in found]
    meter.reach(before + len(splits) * len(found["t"]))
    names = ("data_loss", "penalty", "accuracy")
    values = {key: np.stack([found[split + key] for split in splits]) for key in names}
    correct = [found.get(f"{split}correct") for split in splits]
    return Measured(
        t=found["t"],
        arc=curve.arc(found["t"]),
        values={
            "data_loss": values["data_loss"],
            "penalty": values["penalty"],
            "error": 100.0 * (1.0 - values["accuracy"]),
        },
        losses=[found.get(f"{split}losses") for split in splits],
        errors=[None if c is None else 100.0 * (1.0 - c) for c in correct],
    )


def _sorted(pieces: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    joined = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    order = np.argsort(joined["t"], kind="stable")
    return {key: values[order] for key, values in joined.items()}


def barrier_variables(dims: tuple[str, ...]) -> tuple[Variable, ...]:
    """The declarations of every barrier with its interval, over ``dims`` and ``quantity``."""
    unit = "of quantity"
    dims = (*dims, "quantity")
    return (
        *(Variable(name, dims, meaning, unit) for name, meaning in BARRIERS.items()),
        *(Variable(f"{n}_low", dims, f"{n}: lower end of the 95 % interval", unit) for n in BARRIERS),
        *(Variable(f"{n}_high", dims, f"{n}: upper end of the 95 % interval", unit) for n in BARRIERS),
        Variable("p_value", dims, "p-value of no barrier: E(t) nowhere above the chord"),
        Variable("within_ends", dims, "1 where E stays within the range of its ends: mode connectivity is 0"),
    )


def barrier_values(
    measured: Measured, splits: int, *, resamples: int, seed: int, eps: float
) -> dict[str, Array]:
    """Every barrier with its interval and p-value, arrays (splits, quantities) by name."""
    found: dict[str, Array] = {}
    for s in range(splits):
        for q, quantity in enumerate(QUANTITIES):
            curve = measured.profile(quantity, s)
            drawn = barrier_errors(curve, resamples=resamples, seed=seed, eps=eps)
            values: dict[str, Any] = dict(all_barriers(curve.t, curve.arc, curve.values, eps=eps))
            values |= {f"{name}_low": value for name, value in drawn.low.items()}
            values |= {f"{name}_high": value for name, value in drawn.high.items()}
            within = within_ends(curve.values, eps) if np.isfinite(curve.values).all() else np.nan
            values |= {"p_value": drawn.p_value, "within_ends": within}
            for name, value in values.items():
                found.setdefault(name, np.full((splits, len(QUANTITIES)), np.nan))[s, q] = float(value)
    return found


def held_out(problem: Problem, reference: str | None, kwargs: Mapping[str, Any], context: Context) -> Any:
    """Batches of held-out data, from the input ``test_data`` or by their builder; ``None`` without either.

    Raises:
        InputError: If both are given, the builder cannot be used, or an earlier run that left partial
            results had other held-out data.
    """
    from landscape.core.data.batches import tensors_in
    from landscape.core.problem.door.conversions import other_batches
    from landscape.core.problem.fingerprint import fingerprint

    data = context.inputs.get("test_data")
    if data is None and reference is None:
        return None
    if data is not None and reference is not None:
        raise InputError("held-out data are given twice: as test_data and by the option test.")
    if reference is not None:
        data = call(reference, kwargs, "held-out data, test =")
    batches = other_batches(problem, data)
    try:
        problem.output(batches[0])
    except InputError:
        raise
    except Exception as error:  # a user's model fails in any way
        raise InputError(
            f"the model cannot take the held-out data: {one_line(error)}; give inputs like the problem's."
        ) from error
    # A run that goes on must not join pieces that were measured on other data.
    items = (item for i, batch in enumerate(batches) for item in tensors_in(batch.raw, str(i)))
    context.ledger.require("test_data", fingerprint(items))
    return batches


def group_loss_unit(ds: xr.Dataset) -> str:
    """The unit of the loss of a group: nats if all its models were given one of `LIKELIHOODS`."""
    problems = json.loads(ds.attrs.get("problems", "{}")).values()
    known = {problem.get("loss") for problem in problems}
    return "nats/example" if len(known) == 1 and known <= LIKELIHOODS else LOSS_UNIT


def group_by_architecture(problems: Sequence[Problem]) -> list[list[int]]:
    """Which models have parameters and buffers of the same names and shapes, and so can be joined."""
    found: dict[Any, list[int]] = {}
    for index, problem in enumerate(problems):
        tensors = problem.module.state_dict().items()
        key = type(problem.module), problem.space.names, tuple((name, t.shape) for name, t in tensors)
        found.setdefault(key, []).append(index)
    return list(found.values())


def check_alike(problems: Mapping[str, Problem]) -> None:
    """Make sure that models which can be joined were given the same data, loss and weight decay.

    Raises:
        InputError: If they were not.
    """
    names = list(problems)
    facts = [
        {
            "data": p.fingerprint()[1],
            "loss": p.loss_name,
            "weight decay": p.weight_decay,
            "BatchNorm statistics": p.batchnorm,
            "number format": str(p.dtype),
        }
        for p in problems.values()
    ]
    for first, *others in group_by_architecture(list(problems.values())):
        for other, what in product(others, facts[first]):
            if facts[first][what] != facts[other][what]:
                raise InputError(
                    f"models '{names[first]}' and '{names[other]}' have another {what}, so what lies between"
                    f" them cannot be measured; give all models of the group the same {what}, in the same"
                    " batches."
                )


class Aligner:
    """Aligns models to one another that belong to one problem, whose architecture is traced once.

    Args:
        problem: Theirs.
        method: As in `landscape.core.symmetry.alignment.align`.
        seed: As there.
    """

    def __init__(self, problem: Problem, method: Any, seed: int) -> None:
        self._problem, self._method, self._seed = problem, method, seed
        self._traced: Traced | None = None

    def __call__(self, a: Any, b: Any) -> tuple[dict[str, Any], float]:
        """The whole state of b with its units in the order of a's, and the largest difference of its outputs.

        Raises:
            InputError: If the model cannot be aligned.
        """
        from landscape.core.problem.states import full_state
        from landscape.core.symmetry.alignment import align_traced, trace_model

        problem, method = self._problem, self._method
        try:
            if self._traced is None:
                inputs, forward = problem.calls()
                # Matching by weights looks at no activations: one batch is enough to trace the model and
                # verify.
                inputs = inputs if method == "activations" else inputs[:1]
                self._traced = trace_model(problem.module, inputs, forward)
            states = full_state(problem, a), full_state(problem, b)
            found = align_traced(self._traced, *states, method=method, seed=self._seed)
        except InputError as error:
            text = f"{str(error).rstrip('.')}; align = none leaves the units as they are."
            raise InputError(text) from error
        return found.state, found.output_error


_PASSES = {"recalibrate": 2.2, "repair": 4.0}


def passes_of_point(problem: Problem | None, asked: BatchNormPolicy | None) -> float:
    """Forward passes of a point: that which is measured, and those in which statistics are pooled."""
    policy = asked or "recalibrate"
    if problem is not None:
        from landscape.core.problem.batchnorm import policy_in_force

        policy = policy_in_force(problem, asked)
    return _PASSES.get(policy, 1.0)

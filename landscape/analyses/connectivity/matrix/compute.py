"""``connectivity``: barriers between all models of a group, the tree of their saddles, and soups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.analyses.connectivity._profiles import (
    QUANTITIES,
    Meter,
    aligned,
    barrier_values,
    barrier_variables,
    group_facts,
    group_loss_unit,
    held_out,
    joinable,
    profile,
)
from landscape.analyses.connectivity.matrix.figures import figures
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.schema import Schema, Variable
from landscape.core.problem.batchnorm_policy import BatchNormPolicy, normalise
from landscape.core.stats.hypothesis import holm

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem
    from landscape.store.ledger import Ledger

Array = NDArray[np.float64]

AS_TRAINED, ALIGNED = "as trained", "aligned"


class ConnectivityParams(Params):
    """Options of ``connectivity``."""

    align: Literal["weights", "activations"] | None = Field(
        "weights",
        description="how the second model of a pair is put in the order of the first; both are shown",
    )
    steps: int = Field(11, ge=3, description="evenly spaced points on each line")
    refine: int = Field(2, ge=0, le=30, description="rounds of two more points beside the largest gap")
    batchnorm: BatchNormPolicy | None = Field(
        None, description="BatchNorm statistics between the models, as in connect; none = recalibrate"
    )
    test: str | None = Field(
        None, pattern=r"^[\w.]+:[\w.]+$", description="builder of held-out data, package.module:function"
    )
    test_kwargs: dict[str, Any] = Field({}, description="its arguments")
    resamples: int = Field(1000, ge=100, description="bootstrap resamples of the examples")
    level: float = Field(
        0.05, gt=0, lt=1, description="level of the test of no barrier, over all pairs (Holm)"
    )
    seed: int = Field(0, ge=0, description="seed of alignment and resampling")

    _batchnorm = field_validator("batchnorm", mode="before")(normalise)  # words of former versions


_PAIRS = ("alignment", "model", "other", "split")

SCHEMA = Schema(
    version=2,
    coords=(
        Variable("alignment", ("alignment",), "whether units were put in one order", "", "str"),
        Variable("model", ("model",), "first model of the pair", "", "str"),
        Variable("other", ("other",), "second model of the pair", "", "str"),
        Variable("split", ("split",), "data it was measured on", "", "str"),
        Variable("quantity", ("quantity",), "what the barrier is of", "", "str"),
        Variable("quantity_unit", ("quantity",), "unit of the quantity and its barriers", "", "str"),
        Variable("soup", ("soup",), "average of models", "", "str"),
    ),
    variables=(
        *barrier_variables(_PAIRS),
        Variable("distance", ("alignment", "model", "other"), "distance in parameter space"),
        Variable("family", ("model",), "models of equal number can be joined", "1", "int"),
        Variable(
            "model_loss", ("split", "model"), "loss of each model, statistics as on the lines", LOSS_UNIT
        ),
        Variable("model_error", ("split", "model"), "error of each model", "%"),
        Variable("tree_a", ("alignment", "edge"), "one end of an edge of the tree over saddles", "", "str"),
        Variable("tree_b", ("alignment", "edge"), "its other end", "", "str"),
        Variable("tree_saddle", ("alignment", "edge"), "highest training loss on it", LOSS_UNIT),
        Variable("soup_members", ("soup",), "models in the average", "", "str"),
        Variable("soup_loss", ("split", "soup"), "loss of the average", LOSS_UNIT),
        Variable("soup_error", ("split", "soup"), "error of the average", "%"),
        Variable("output_error", ("model", "other"), "largest relative change of outputs by alignment"),
        Variable("examples", ("split",), "number of examples", "1", "int"),
        Variable("batchnorm_policy", (), "BatchNorm statistics between models", "", "str"),
    ),
)


def compute(
    problems: Mapping[str, Problem], params: ConnectivityParams, context: Context
) -> Mapping[str, Any]:
    """The line between every two models of one architecture, before and after alignment; then soups."""
    from landscape.core.problem.batchnorm import policy_in_force

    names, every = list(problems), list(problems.values())
    test = held_out(every[0], context.inputs.get("test_data"), params.test, params.test_kwargs)
    ledger = _ledger(problems, params, context, test)
    kinds = [AS_TRAINED] if params.align is None else [AS_TRAINED, ALIGNED]
    families = joinable(every)
    splits = 1 if test is None else 2
    points = params.steps + 2 * params.refine
    count = sum(len(f) * (len(f) - 1) // 2 for f in families) * len(kinds)
    meter = Meter(context.progress, (count * points + 4 * len(every)) * splits)
    lines = _Lines(every, [policy_in_force(p, params.batchnorm) for p in every], params, test, ledger, meter)
    data = _matrices(lines, kinds, families, splits)
    soups = [soup for family in families if len(family) > 1 for soup in _soups(lines, family, kinds, names)]
    alone = [lines.alone(i, lines.states[i]) for i in range(len(every))]
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

    def moved(self, i: int, j: int) -> tuple[dict[str, Any], float]:
        """Model j in the order of i, and the change of its outputs."""
        if i == j:
            return self.states[i], 0.0
        if (i, j) not in self._moved:
            method, seed = self.params.align, self.params.seed
            self._moved[i, j] = aligned(self.problems[i], self.states[i], self.states[j], method, seed)
        return self._moved[i, j]

    def barriers(self, kind: str, i: int, j: int, splits: int) -> tuple[dict[str, Array], float]:
        """All barriers on the line from i to j, arrays (splits, quantities), and its length."""
        import torch

        run = self._run(i, self.states[i], self.states[j] if kind == AS_TRAINED else self.moved(i, j)[0])
        name = f"{kind.replace(' ', '-')}-{i:03d}-{j:03d}"
        measured = profile(
            name, run.subset, run, self.params.steps, self.params.refine, self._ledger, self._meter
        )
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
        for variable in barrier_variables(_PAIRS)
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


def _ledger(
    problems: Mapping[str, Problem], params: ConnectivityParams, context: Context, test: Any
) -> Ledger:
    from landscape.core.problem.batches import tensors_in
    from landscape.core.problem.fingerprint import fingerprint
    from landscape.store.ledger import Ledger

    facts: dict[str, Any] = {"options": params.model_dump_json()}
    facts |= {f"model {name}": own for name, own in group_facts(problems).items()}
    if test is not None:
        items = (item for i, batch in enumerate(test) for item in tensors_in(batch.raw, str(i)))
        facts["test_data"] = fingerprint(items)
    return Ledger(context.partial, facts)


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Mean barrier of the training loss over pairs, and how many barriers exceed the noise."""
    import json

    unit = group_loss_unit(ds)
    level = float(json.loads(ds.attrs["parameters"])["level"])
    above = np.triu_indices(ds.sizes["model"], 1)
    joined = np.isfinite(ds["distance"].values[0][above])
    metrics = [
        Metric("pairs", int(joined.sum()), "1", "pairs of models of one architecture"),
        Metric(
            "pairs apart", int((~joined).sum()), "1", "pairs of unlike architectures, which no line joins"
        ),
    ]
    for kind in ds["alignment"].values.astype(str):
        part = ds.sel(alignment=kind, split="train")
        loss = part.sel(quantity="loss")
        barrier, p = loss["barrier_chord"].values[above][joined], loss["p_value"].values[above][joined]
        error = part.sel(quantity="error")["barrier_chord"].values[above][joined]
        metrics += [
            Metric(
                f"loss barrier, {kind}",
                _mean(barrier),
                unit,
                "mean over pairs of the largest gap to the chord",
            ),
            Metric(f"error barrier, {kind}", _mean(error), "%", "likewise of the error, percentage points"),
            Metric(
                f"barriers, {kind}",
                int((holm(p) < level).sum()),
                "1",
                f"pairs whose loss barrier exceeds the noise at level {level:g} (Holm)",
            ),
        ]
    return metrics


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")


connectivity = Analysis(
    name="connectivity",
    title="Connectivity of a group",
    description=(
        "Barriers on the straight line between every two models of one architecture, as trained and after the"
        " units of the second were put in the order of the first (Ainsworth et al. 2023), by every definition"
        " in use, with paired bootstrap intervals and a test of no barrier. Models of unlike architecture"
        " cannot be joined by a path of weights: their entries stay empty. The tree joins models at the"
        " highest loss between them (minimum spanning forest over saddles, Draxler et al. 2018). Soups are"
        " averages of all models of one architecture, or of those that lower the loss (Wortsman et al. 2022);"
        " aligned ones are averages after alignment to the first model. The greedy choice looks at held-out"
        " data if there are any."
    ),
    scope="group",
    params=ConnectivityParams,
    schema=SCHEMA,
    compute=compute,
    plots=figures,
    summary=summary,
    # per model of the group: the pairs grow with its square, which is not known here
    cost=lambda params: Cost(forwards=2.0 * (params.steps + 2 * params.refine) * (2 if params.align else 1)),
    inputs=("test_data",),
)

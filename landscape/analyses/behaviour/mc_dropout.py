"""``mc_dropout``: scores of Monte Carlo dropout against the number of dropout masks averaged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, field_validator

from landscape.analyses.behaviour._answers import ANSWERS, MEANS, counted, nats, record
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, series
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    import torch
    import xarray as xr
    from numpy.typing import NDArray

    from landscape.core.behaviour.calibration import Predictions
    from landscape.core.problem.problem import Problem

NATS = "nats/example"
SCORES = {"nll": NATS, "accuracy": "1", "ece": "1"}


class McDropoutParams(Params):
    """Options of ``mc_dropout``."""

    counts: tuple[int, ...] = Field((1, 2, 5, 10, 20, 50), description="numbers of dropout masks averaged")
    features: str = Field(
        "", description="module whose output's variance over masks is measured; empty: the whole model"
    )
    seed: int = Field(0, ge=0, description="seed of the masks")

    @field_validator("counts")
    @classmethod
    def _countable(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1 or len(set(value)) < len(value):
            raise ValueError("needs one or more different numbers of masks, each at least 1")
        return value


SCHEMA = Schema(
    version=3,
    coords=(Variable("samples", ("samples",), "dropout masks averaged", "", kind="int"),),
    variables=(
        Variable("nll", ("samples",), "mean negative log-likelihood", NATS),
        Variable("accuracy", ("samples",), "share of right answers"),
        Variable("ece", ("samples",), "expected calibration error, 15 bins of equal width"),
        Variable("feature_variance", (), "variance of features over masks over their mean square"),
        Variable("examples", (), "number of examples", kind="int"),
        *ANSWERS,
    ),
)


def compute(problem: Problem, params: McDropoutParams, context: Context) -> Mapping[str, Any]:
    """Draw the largest number of masks; smaller ones are disjoint groups of them, averaged."""
    import torch

    from landscape.core.behaviour.calibration import predict
    from landscape.core.behaviour.mc_dropout import mc_samples
    from landscape.core.problem.answers.classification import classification_of

    _check(problem)
    module = _feature_module(problem.module, params.features)
    clean = predict(problem)  # refuses whatever is no classification
    what = classification_of(problem)
    most = max(params.counts)
    drawn: list[torch.Tensor] = []
    spread: list[list[float]] = []
    start = 0
    for batch in problem.batches:
        x = batch.inputs
        with _outputs_of(module) as seen:
            passes = mc_samples(problem.module, x, most, params.seed, len(x), what.logits, first=start)
            drawn.append(passes[:, what.counted(batch.target, passes.shape[-1])])
        start += len(x)
        features = torch.stack(seen).double().flatten(2)
        between = features.var(0).sum().item() if most > 1 else np.nan
        spread.append([between, features.square().mean(0).sum().item()])
        context.progress(len(drawn) / len(problem.batches))
    log_p = torch.cat(drawn, dim=1).double().cpu().numpy()
    scores = [_scores(log_p, clean, n) for n in params.counts]
    between, power = np.sum(spread, axis=0)
    return {
        "samples": np.array(params.counts),
        **{name: np.array([s[name] for s in scores]) for name in SCORES},
        "feature_variance": between / power if power > 0 else np.nan,
        "examples": clean.count,
        **record(clean),
    }


def _check(problem: Problem) -> None:
    """Refuse models without dropout, and those that are not called with one tensor."""
    import torch
    from torch.nn.modules.dropout import _DropoutNd

    model = problem.module
    if not any(isinstance(part, _DropoutNd) and part.p > 0 for part in model.modules()):
        raise InputError(
            f"mc_dropout: {type(model).__name__} has no dropout to sample from; it needs a model with a layer"
            " such as torch.nn.Dropout of a probability above 0."
        )
    _, forward = problem.calls()
    if forward is not None or not all(isinstance(batch.inputs, torch.Tensor) for batch in problem.batches):
        raise InputError(
            "mc_dropout calls the model with one tensor per batch: give batches (inputs, labels) of tensors,"
            " and a problem without a forward of its own."
        )


def _feature_module(model: torch.nn.Module, name: str) -> torch.nn.Module:
    known: dict[str, torch.nn.Module] = dict(model.named_modules())
    if name not in known:
        raise InputError(
            f"mc_dropout: the model has no module '{name}'; {suggest(name, filter(None, known))}"
        )
    return known[name]


@contextmanager
def _outputs_of(module: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """Within it, the outputs of a module are collected, one per forward pass."""
    seen: list[torch.Tensor] = []
    # a copy, since the next layer may write to its input
    handle = module.register_forward_hook(lambda _, __, out: seen.append(out.detach().clone()))
    try:
        yield seen
    finally:
        handle.remove()


def _scores(log_p: NDArray[np.float64], clean: Predictions, n: int) -> dict[str, float]:
    """Scores of predictions of n masks (log_p: masks, answers, classes), averaged over disjoint groups."""
    from landscape.core.behaviour.calibration import calibration_error

    groups = [log_p[i * n : (i + 1) * n] for i in range(len(log_p) // n)]
    # The sum of probabilities will do for their mean: `with_logits` divides by the total.
    means = [clean.with_logits(np.logaddexp.reduce(group)) for group in groups]
    found = [(p.nll.mean(), p.correct.mean(), calibration_error(p)) for p in means]
    return dict(zip(SCORES, np.mean(found, axis=0), strict=True))


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Each score against the number of masks."""
    first = next(iter(datasets.values()))
    titles = {"nll": "Negative log-likelihood", "accuracy": "Accuracy", "ece": "Expected calibration error"}
    return [
        FigureSpec(
            name,
            f"{titles[name]} of Monte Carlo dropout",
            Axis("samples averaged", scale="log"),
            Axis(titles[name].lower(), nats(datasets) if unit == NATS else unit),
            tuple(
                Line(ds["samples"].values, ds[name].values, series(label, ds), markers=True)
                for label, ds in datasets.items()
            ),
            f"{titles[name]} on {counted(first, int(first['examples']))}.",
        )
        for name, unit in SCORES.items()
    ]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Scores of the first and the last number of masks, and the variance of features."""
    places = dict.fromkeys((0, ds.sizes["samples"] - 1))
    found = [
        Metric(
            f"NLL, {int(ds['samples'][i])} masks",
            float(ds["nll"][i]),
            NATS,
            "mean negative log-likelihood of the mean prediction",
        )
        for i in places
    ]
    spread = float(ds["feature_variance"])
    meaning = "variance of features over dropout masks over their mean square"
    return [*found, Metric("feature variance", spread, "1", meaning)]


mc_dropout = Analysis(
    name="mc_dropout",
    title="Monte Carlo dropout",
    description=(
        "Scores of the mean of the probabilities that a network predicts under random dropout masks"
        " (Gal & Ghahramani 2016), against the number of masks; and how much features vary over masks."
        " Scores of fewer masks than the most are means over disjoint groups of the masks drawn. BatchNorm"
        " stays in evaluation mode. A model without dropout is refused. " + MEANS
    ),
    scope="checkpoint",
    params=McDropoutParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    needs="dropout",
    cost=lambda params: Cost(forwards=1.0 + max(params.counts)),
)

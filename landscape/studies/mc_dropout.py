"""``mc_dropout``: scores of Monte Carlo dropout against the number of samples.

A plug-in analysis: sections name it ``_mc_dropout:mc_dropout``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from pydantic import Field

from landscape.analyses._shared.captions import series
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line
from landscape.base.schema import Schema, Variable
from landscape.core.behaviour.calibration import Predictions, calibration_error
from landscape.core.behaviour.mc_dropout import mc_samples
from landscape.core.problem.problem import Problem

SCORES = {"nll": "nats/example", "accuracy": "1", "ece": "1"}


class McDropoutParams(Params):
    """Options of ``mc_dropout``."""

    counts: tuple[int, ...] = Field((1, 2, 5, 10, 20, 50), description="numbers of samples")
    features: str = Field("stages", description="module whose output's spread over masks is measured")
    seed: int = Field(0, ge=0, description="seed of the masks")


SCHEMA = Schema(
    version=2,
    coords=(Variable("samples", ("samples",), "dropout masks averaged", "", kind="int"),),
    variables=(
        Variable("nll", ("samples",), "mean negative log-likelihood", "nats/example"),
        Variable("accuracy", ("samples",), "share of right answers"),
        Variable("ece", ("samples",), "expected calibration error, 15 bins of equal width"),
        Variable("feature_variance", (), "variance of features over masks over their mean square"),
        Variable("examples", (), "number of examples", kind="int"),
    ),
)


def compute(problem: Problem, params: McDropoutParams, context: Context) -> Mapping[str, Any]:
    """Draw the largest number of samples; smaller ones are disjoint groups of them, averaged."""
    most = max(params.counts)
    drawn: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    spread: list[list[float]] = []
    for batch in problem.batches:
        x, y = batch.raw
        with _Watched(problem.module, params.features) as seen:
            seed = int(np.random.SeedSequence((params.seed, len(drawn))).generate_state(1)[0])
            drawn.append(mc_samples(problem.module, x, most, seed, batch=len(x)))
        features = torch.stack(seen).double().flatten(2)
        spread.append([features.var(0).sum().item(), features.square().mean(0).sum().item()])
        labels.append(y)
        context.progress(len(drawn) / len(problem.batches))
    log_p = torch.cat(drawn, dim=1).double().cpu().numpy()
    truth = torch.cat(labels).cpu().numpy()
    scores = [_scores(log_p, truth, n) for n in params.counts]
    between, power = np.sum(spread, axis=0)
    return {
        "samples": np.array(params.counts),
        **{name: np.array([s[name] for s in scores]) for name in SCORES},
        "feature_variance": between / power,
        "examples": len(truth),
    }


class _Watched:
    """Collect the outputs of a module."""

    def __init__(self, model: torch.nn.Module, name: str) -> None:
        self.module = model.get_submodule(name)

    def __enter__(self) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        self.handle = self.module.register_forward_hook(lambda _, __, out: seen.append(out.clone()))
        return seen

    def __exit__(self, *_: object) -> None:
        self.handle.remove()


def _scores(log_p: np.ndarray, labels: np.ndarray, n: int) -> dict[str, float]:
    """Scores of predictions of n samples, averaged over disjoint groups of samples."""
    groups = [log_p[i * n : (i + 1) * n] for i in range(len(log_p) // n)]
    means = [Predictions.of_logits(np.logaddexp.reduce(group), labels) for group in groups]
    found = [(p.nll.mean(), p.correct.mean(), calibration_error(p)) for p in means]
    return dict(zip(SCORES, np.mean(found, axis=0), strict=True))


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Each score against the number of samples."""
    titles = {"nll": "Negative log-likelihood", "accuracy": "Accuracy", "ece": "Expected calibration error"}
    return [
        FigureSpec(
            name,
            f"{titles[name]} of Monte Carlo dropout",
            Axis("samples averaged", scale="log"),
            Axis(titles[name].lower(), unit),
            tuple(
                Line(ds["samples"].values, ds[name].values, series(label, ds), markers=True)
                for label, ds in datasets.items()
            ),
            f"{titles[name]} on {int(next(iter(datasets.values()))['examples'])} held-out examples.",
        )
        for name, unit in SCORES.items()
    ]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Scores of one sample and of the most."""
    first, last = ds["samples"].values[[0, -1]]
    return [
        Metric(f"NLL, {n} samples", float(ds["nll"].sel(samples=n)), "nats/example") for n in (first, last)
    ]


mc_dropout = Analysis(
    name="mc_dropout",
    title="Monte Carlo dropout",
    description=(
        "Scores of the mean of the probabilities that a network predicts under random dropout masks"
        " (Gal & Ghahramani 2016), against the number of masks; and how much features vary over masks."
    ),
    scope="checkpoint",
    params=McDropoutParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=float(max(params.counts))),
)

"""``evidence``: the marginal likelihood of a checkpoint's data under a Laplace approximation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import error_bars
from landscape.analyses.posterior._options import NoiseVariance
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Points, Series, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem


class EvidenceParams(Params):
    """Options of ``evidence``."""

    prior_precision: tuple[float, ...] = Field(
        (), description="prior precisions δ; none = 25 over six decades about that of weight decay, N λ"
    )
    k: int = Field(20, ge=1, description="largest eigenvalues that count exactly, beyond 2,000 parameters")
    probes: int = Field(4, ge=1, description="random probes of the other eigenvalues")
    steps: int = Field(30, ge=1, description="Lanczos steps (products) per probe")
    noise: NoiseVariance = None
    seed: int = Field(0, ge=0, description="seed of starting vectors and probes")


_OVER = ("prior_precision",)

SCHEMA = Schema(
    version=1,
    coords=(Variable("prior_precision", _OVER, "prior precision δ"),),
    variables=(
        Variable("log_evidence", _OVER, "log marginal likelihood ln p(D | δ)", "nats"),
        Variable("log_evidence_low", _OVER, "its lower bound from the quadrature, of the mean", "nats"),
        Variable("log_evidence_high", _OVER, "its upper bound from the quadrature, of the mean", "nats"),
        Variable("log_evidence_se", _OVER, "its standard error over probes", "nats"),
        Variable("log_determinant", _OVER, "ln det(I + H/δ), the middle between its bounds", "nats"),
        Variable("scatter", _OVER, "δ‖θ‖²", "nats"),
        Variable("effective_dimension", _OVER, "number of directions that the data determine, Σ λ/(λ + δ)"),
        Variable("log_likelihood", (), "log likelihood of the data at the checkpoint", "nats"),
        Variable("best_prior_precision", (), "prior precision of most evidence"),
        Variable("best_log_evidence", (), "log marginal likelihood there", "nats"),
        Variable("best_effective_dimension", (), "effective dimension there"),
        Variable("best_inside", (), "whether it lies within the grid, not at an end", "", kind="bool"),
        Variable("decay_prior_precision", (), "prior precision of weight decay; 0 without any"),
        Variable("squared_norm", (), "‖θ‖²"),
        Variable("noise", (), "variance of the noise; 1 for classes"),
        Variable("weights", (), "number of parameters", kind="int"),
        Variable("products", (), "matrix-vector products of the probes", kind="int"),
        Variable("probes", (), "number of random probes", kind="int"),
    ),
)


def compute(problem: Problem, params: EvidenceParams, context: Context) -> Mapping[str, Any]:
    """The spectrum once, and of it everything for each prior precision."""
    from landscape.core.posterior.curve import evidence_curve
    from landscape.core.posterior.likelihood import likelihood_of

    loss = problem.loss()
    if not np.isfinite(loss):
        raise InputError(f"the loss at the checkpoint is {loss}, so its data have no evidence.")
    likelihood = likelihood_of(problem, "ml" if params.noise is None else params.noise)
    curve = evidence_curve(
        problem,
        likelihood,
        k=params.k,
        probes=params.probes,
        steps=params.steps,
        seed=params.seed,
        on_progress=context.progress,
    )
    decay = likelihood.precision(problem.weight_decay)
    grid = sorted(params.prior_precision or curve.grid(decay))
    found, best = curve.at(grid), curve.best(grid)
    defined = bool(np.isfinite(best))
    there = curve.at([best]) if defined else None
    context.progress(1.0)
    return {
        "prior_precision": np.array(grid),
        "log_evidence": found.middle,
        "log_evidence_low": found.low,
        "log_evidence_high": found.high,
        "log_evidence_se": found.error,
        "log_determinant": (found.log_determinant.lower + found.log_determinant.upper) / 2,
        "scatter": found.scatter,
        "effective_dimension": (found.effective_dimension.lower + found.effective_dimension.upper) / 2,
        "log_likelihood": curve.log_likelihood,
        "best_prior_precision": best,
        "best_log_evidence": float(there.middle[0]) if there else np.nan,
        "best_effective_dimension": float(there.effective_dimension.upper[0]) if there else np.nan,
        "best_inside": defined and 0 < int(np.argmax(found.middle)) < len(grid) - 1,
        "decay_prior_precision": decay,
        "squared_norm": curve.squared_norm,
        "noise": likelihood.noise,
        "weights": curve.entries,
        "products": curve.spectrum.products,
        "probes": params.probes,
    }


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """The evidence over prior precisions, what it is made of, and how many directions the data determine."""
    evidence: list[Line | Points] = []
    terms, dimension = [], []
    for label, ds in datasets.items():
        who, x = series(label, ds), ds["prior_precision"].values
        error = np.nan_to_num(reach(int(ds["probes"])) * ds["log_evidence_se"].values)
        low, high = ds["log_evidence_low"].values - error, ds["log_evidence_high"].values + error
        evidence.append(Line(x, ds["log_evidence"].values, who, low, high))
        best = float(ds["best_prior_precision"]), float(ds["best_log_evidence"])
        text = f"δ = {best[0]:.3g}: {best[1]:.5g} nats"
        evidence.append(Points([best[0]], [best[1]], who, texts=(text,)))
        determinant = Series(who.model, who.group, f"{label}, ½ ln det(I + H/δ)")
        scatter = Series(who.model, who.group, f"{label}, ½ δ‖θ‖²")
        terms.append(Line(x, ds["log_determinant"].values / 2, determinant))
        terms.append(Line(x, ds["scatter"].values / 2, scatter, style="dash"))
        dimension.append(Line(x, ds["effective_dimension"].values, who))
    examples = next(iter(datasets.values())).attrs.get("examples", "?")
    about = f"H: Gauss-Newton matrix of −ln p of {examples} examples, summed; without weight decay."
    x_axis = Axis("prior precision δ", scale="log")
    return [
        FigureSpec(
            "evidence",
            "Evidence",
            x_axis,
            Axis("ln p(D | δ)", "nats", limits=_about_the_best(datasets)),
            tuple(evidence),
            "Log marginal likelihood ln p(D | θ) − ½δ‖θ‖² − ½ ln det(I + H/δ) under a Laplace approximation"
            f" about the checkpoint; points: its maximum. {about}",
            error_bars(
                (int(ds["probes"]) for ds in datasets.values()),
                "over probes, beyond bounds of the quadrature's error",
            ),
        ),
        FigureSpec(
            "terms",
            "What the evidence is reduced by",
            x_axis,
            Axis("reduction of the log evidence", "nats", scale="log"),
            tuple(terms),
            "The two terms that the log evidence is smaller by than the log likelihood: the posterior is"
            " narrower than the prior (solid), and the weights are not at its centre (dashed)."
            f" {about}",
        ),
        FigureSpec(
            "dimension",
            "Directions that the data determine",
            x_axis,
            Axis("Σ λ/(λ + δ)", scale="log"),
            tuple(dimension),
            f"Effective dimension over the eigenvalues λ of H. {about}",
        ),
    ]


def _about_the_best(datasets: Mapping[str, xr.Dataset]) -> tuple[float, float] | None:
    """From the likelihood down to where the evidence is several times as far below it as at its best.

    The ends of a grid of six decades would leave no room for the rest.
    """
    likelihoods = [float(ds["log_likelihood"]) for ds in datasets.values()]
    best = [float(ds["best_log_evidence"]) for ds in datasets.values()]
    if not np.isfinite([*likelihoods, *best]).all():
        return None
    high, low = max(likelihoods), min(best)
    return (low - 4.0 * (high - low), high) if low < high else None


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Most evidence, and where."""
    at = f"at δ = {float(ds['best_prior_precision']):.3g}"
    if not bool(ds["best_inside"]):
        at += ", at an end of the grid"
    return [
        Metric("ln p(D)", float(ds["best_log_evidence"]), "nats", f"log marginal likelihood {at}"),
        Metric("best δ", float(ds["best_prior_precision"]), "1", "prior precision of most evidence"),
        Metric(
            "N(δ)",
            float(ds["best_effective_dimension"]),
            "1",
            f"directions that the data determine there, of {int(ds['weights'])}",
        ),
    ]


evidence = Analysis(
    name="evidence",
    title="Evidence",
    description=(
        "The Laplace approximation of the marginal likelihood of the data, ln p(D | δ) = ln p(D | θ) −"
        " ½δ‖θ‖² − ½ ln det(I + H/δ), over prior precisions δ (MacKay 1992; Immer et al. 2021); H is the"
        " Gauss-Newton matrix of −ln p(D | θ) summed over the data, θ the checkpoint, which stays put."
        " Up to 2,000 parameters all eigenvalues of H count exactly; beyond, the largest do, and random"
        " Lanczos recurrences bound the log-determinant of the rest from both sides. The loss is a"
        " cross-entropy, a squared error with Gaussian noise, or the `gaussian_nll` of a network that puts"
        " out the noise, of which H is the Fisher matrix. It compares models of the same data without"
        " held-out examples, and gives the prior precision of a Laplace posterior."
    ),
    scope="checkpoint",
    params=EvidenceParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(
        forwards=2.0, gradients=1.7 * (10 + 3.0 * params.k + params.probes * params.steps)
    ),
)

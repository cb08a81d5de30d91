"""``posterior_spread``: how far samples of a posterior reach by direction of curvature, and by input.

An analysis of studies alone, since it looks at samples of all weights, which few models of a zoo have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Points, Series
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.behaviour.posterior_samples import PosteriorSamples
    from landscape.core.problem.problem import Problem

__all__ = ["PosteriorSpreadParams", "posterior_spread"]


class PosteriorSpreadParams(Params):
    """Options of ``posterior_spread``."""

    prior_variance: float = Field(1.0, gt=0, description="prior variance of every weight")
    k: int = Field(
        50, ge=1, description="number of eigenvectors of the Gauss-Newton matrix, the largest first"
    )
    seed: int = Field(0, ge=0, description="seed of the Lanczos recurrence")


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("direction", ("direction",), "eigenvector, by falling eigenvalue", kind="int"),
        Variable("input", ("input",), "number of an example, such as a pixel", kind="int"),
    ),
    variables=(
        Variable("eigenvalue", ("direction",), "eigenvalue λ of the Gauss-Newton matrix of the mean loss"),
        Variable("laplace_ratio", ("direction",), "1/(1 + Nλσ²), posterior over prior variance by Laplace"),
        Variable("ratio", ("direction",), "variance of the samples over the prior variance σ²"),
        Variable("input_sd", ("input",), "standard deviation of the input over the examples", ""),
        Variable(
            "checkpoint_weight", ("input",), "root mean square over units of its weights at the checkpoint"
        ),
        Variable(
            "weight_sd", ("input",), "root mean square over units of their standard deviation over samples"
        ),
        Variable("dead_inputs", (), "inputs that are 0 in all examples", kind="int"),
        Variable("dead_ratio", (), "variance over prior variance of their weights, mean; NaN without any"),
        Variable("dead_weight", (), "largest of their weights at the checkpoint; NaN without any"),
        Variable("r_hat_median", (), "median over examples and classes of R̂ of predicted probabilities"),
        Variable("r_hat_95", (), "its 95 % quantile"),
        Variable("r_hat_max", (), "the largest"),
        Variable("prior_sd", (), "prior standard deviation σ"),
        Variable("samples", (), "number of samples", kind="int"),
    ),
)


def compute(problem: Problem, params: PosteriorSpreadParams, context: Context) -> Mapping[str, Any]:
    """Eigenvectors at the network within; the samples along each, and weight by weight."""
    import torch

    from landscape.core.curvature.operator import ggn
    from landscape.core.linalg.eigenpairs import eigenpairs
    from landscape.core.problem.problem import Problem

    posterior = _posterior(problem)
    inner = Problem(
        posterior.model, problem.loss_name, [batch.raw for batch in problem.batches], parameters="*"
    )
    with ggn(inner) as G:
        found = eigenpairs(G, params.k, "LA", vectors=True, seed=params.seed)
    context.progress(0.5)
    assert found.vectors is not None
    thetas = posterior.thetas.double()
    spread = thetas - thetas.mean(0)
    freedom = len(thetas) - 1  # one sample has no spread: 0/0, NaN
    along = (spread @ found.vectors.double()).square().sum(0) / freedom
    eigenvalues = found.values.clamp(min=0.0).numpy()
    inputs = torch.cat([batch.inputs.flatten(1) for batch in problem.batches]).double()
    place = _first_layer(inner, inputs.shape[1])
    sd = inputs.std(0, correction=0)
    dead = (inputs == 0).all(0)
    weights = inner.theta.double()[place].view(-1, inputs.shape[1])
    variances = (spread[:, place].square().sum(0) / freedom).view(-1, inputs.shape[1])
    r_hat = posterior.r_hat(torch.cat([batch.inputs for batch in problem.batches]))
    some = r_hat[np.isfinite(r_hat)]
    quantiles = np.quantile(some, [0.5, 0.95, 1.0]) if some.size else np.full(3, np.nan)
    nothing = not bool(dead.any())
    return {
        "direction": np.arange(len(eigenvalues)),
        "input": np.arange(inputs.shape[1]),
        "eigenvalue": found.values.numpy(),
        "laplace_ratio": 1.0 / (1.0 + problem.examples * eigenvalues * params.prior_variance),
        "ratio": along.numpy() / params.prior_variance,
        "input_sd": sd.numpy(),
        "checkpoint_weight": weights.square().mean(0).sqrt().numpy(),
        "weight_sd": variances.mean(0).sqrt().numpy(),
        "dead_inputs": int(dead.sum()),
        "dead_ratio": float("nan") if nothing else float(variances[:, dead].mean()) / params.prior_variance,
        "dead_weight": float("nan") if nothing else float(weights[:, dead].abs().max()),
        **dict(zip(("r_hat_median", "r_hat_95", "r_hat_max"), quantiles.tolist(), strict=True)),
        "prior_sd": params.prior_variance**0.5,
        "samples": len(thetas),
    }


def _posterior(problem: Problem) -> PosteriorSamples:
    from landscape.core.behaviour.posterior_samples import PosteriorSamples

    if not isinstance(problem.module, PosteriorSamples):
        raise InputError(
            f"posterior_spread looks at samples of a posterior, such as hmc_posterior makes; this is a"
            f" {type(problem.module).__name__}."
        )
    return problem.module


def _first_layer(problem: Problem, inputs: int) -> slice:
    """Where in θ the weights lie that read the inputs."""
    start = 0
    for shape, size in zip(problem.space.shapes, problem.space.sizes, strict=True):
        if len(shape) == 2 and shape[1] == inputs:
            return slice(start, start + size)
        start += size
    raise InputError(f"posterior_spread needs a first layer with weights (units, {inputs}); there is none.")


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Posterior over prior variance by direction, and the weights of each input."""
    directions: list[Any] = [Line([1e-4, 1.0], [1e-4, 1.0], Series("Laplace"), style="dash")]
    inputs: list[Any] = []
    for label, ds in datasets.items():
        directions.append(
            Points(ds["laplace_ratio"].values, ds["ratio"].values, Series(f"{label}: eigenvectors"))
        )
        directions.append(Points([1.0], [float(ds["dead_ratio"])], Series(f"{label}: dead inputs")))
        x, sigma = ds["input_sd"].values, float(ds["prior_sd"])
        inputs.append(Points(x, ds["weight_sd"].values / sigma, Series(f"{label}: spread of samples")))
        inputs.append(
            Points(x, ds["checkpoint_weight"].values / sigma, Series(f"{label}: size at the maximum"))
        )
    first = next(iter(datasets.values()))
    about = f"{int(first['samples'])} samples; {int(first['dead_inputs'])} inputs are 0 in all examples."
    low = min(
        float(np.nanmin([ds["laplace_ratio"].values.min(), ds["ratio"].values.min()]))
        for ds in datasets.values()
    )
    directions[0] = Line([low, 1.0], [low, 1.0], Series("Laplace"), style="dash")
    return [
        FigureSpec(
            "directions",
            "Posterior over prior variance along eigenvectors",
            Axis("1/(1 + Nλσ²), by Laplace", scale="log"),
            Axis("variance of samples / σ²", scale="log"),
            tuple(directions),
            "Along each of the leading eigenvectors of the Gauss-Newton matrix at the maximum of the"
            " posterior, and of the weights of dead inputs, which are null vectors of it. On the dashed line"
            f" samples have the variance that a Laplace approximation predicts. {about}",
        ),
        FigureSpec(
            "inputs",
            "Weights by how much their input varies",
            Axis("standard deviation of the input"),
            Axis("weight / prior standard deviation"),
            tuple(inputs),
            "Root mean square over hidden units, for each input: the standard deviation of its weights over"
            f" samples, and its weights at the maximum of the posterior. {about}",
        ),
    ]


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """Spread on dead inputs, and R̂."""
    return [
        Metric("dead variance", float(ds["dead_ratio"]), "1", "over the prior's, of weights of dead inputs"),
        Metric("R̂ 95 %", float(ds["r_hat_95"]), "1", "of predicted probabilities"),
    ]


posterior_spread = Analysis(
    name="posterior_spread",
    title="Spread of posterior samples",
    description=(
        "The variance of samples of a posterior over that of an isotropic prior, along each leading"
        " eigenvector of the Gauss-Newton matrix at the network within, and weight by weight of its first"
        " layer. Where the data say nothing, as of the weights of inputs that are always 0, the posterior is"
        " the prior."
    ),
    scope="checkpoint",
    takes="predictive",
    params=PosteriorSpreadParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=60.0, gradients=6.0 * params.k),
)

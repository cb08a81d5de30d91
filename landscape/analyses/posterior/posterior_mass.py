"""``posterior_mass``: what a subset of the weights keeps of a Laplace posterior."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses.posterior._options import NoiseVariance
from landscape.base.analysis import DATA_BUILDER, Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, Bars, FigureSpec, Line, Series, series
from landscape.base.schema import Schema, Variable
from landscape.errors import InputError
from landscape.imports import REFERENCE, call

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from landscape.core.posterior.likelihood import Likelihood
    from landscape.core.posterior.mass import PosteriorRows
    from landscape.core.problem.problem import Problem

Ranking = Literal["variance", "magnitude", "random", "gradient", "curvature", "predictive"]


class PosteriorMassParams(Params):
    """Options of ``posterior_mass``."""

    by: tuple[Ranking, ...] = Field(
        ("variance", "magnitude", "random", "gradient", "curvature", "predictive"),
        min_length=1,
        description="what weights are ranked by, the highest first",
    )
    shares: tuple[float, ...] = Field(
        (0.01, 0.03, 0.1, 0.3, 1.0), min_length=1, description="shares of the weights that are kept"
    )
    prior_precision: Annotated[float, Field(gt=0)] | Literal["evidence"] | None = Field(
        None,
        description="δ; evidence: that of most evidence; none = of weight decay, N λ, else evidence",
    )
    noise: NoiseVariance = None
    other_data: Annotated[str, Field(pattern=rf"^$|{REFERENCE}"), DATA_BUILDER] = Field(
        "",
        description="builder of further inputs and labels, or of several by name, package.module:function",
    )
    other_kwargs: dict[str, Any] = Field({}, description="its arguments")
    bins: int = Field(15, ge=1, description="bins of the calibration error")
    seed: int = Field(0, ge=0, description="seed of the random ranking")


_CELL = ("by", "share")
_SHARES = {
    "trace_share": "share of the trace of H that the weights kept hold",
    "evidence_share": "ln det(I + H_SS/δ) over that of all weights",
}
_PREDICTIONS = {
    "variance_share": ("variance of the outputs over that of all weights", "1"),
    "predictive_tv": ("total variation from the prediction of all weights", "1"),
    "nll": ("negative log-likelihood of the labels; NaN without any", "nats/example"),
    "ece": ("expected calibration error; NaN without labels", "1"),
}
_REFERENCES = {
    "layer": "the layer alone",
    "full": "all weights",
    "diagonal": "all weights, independent",
    "map": "the checkpoint",
}

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("by", ("by",), "what weights are ranked by", "", kind="str"),
        Variable("share", ("share",), "share of the weights that are kept"),
        Variable("inputs", ("inputs",), "inputs of the predictions", "", kind="str"),
        Variable("layer", ("layer",), "layer, in the model's order", "", kind="str"),
    ),
    variables=(
        *(Variable(name, _CELL, meaning) for name, meaning in _SHARES.items()),
        Variable("wasted", _CELL, "share of the weights kept that no example feels"),
        *(Variable(name, (*_CELL, "inputs"), *what) for name, what in _PREDICTIONS.items()),
        Variable("layer_size", ("layer",), "number of weights of the layer", kind="int"),
        *(Variable(f"layer_{name}", ("layer",), f"{name} of the layer alone") for name in _SHARES),
        *(
            Variable(
                f"{who}_{name}",
                ("layer", "inputs") if who == "layer" else ("inputs",),
                f"{name} of {words}",
                unit,
            )
            for who, words in _REFERENCES.items()
            for name, (_, unit) in _PREDICTIONS.items()
        ),
        Variable("prior_precision", (), "prior precision δ"),
        Variable("effective_dimension", (), "number of directions that the data determine, Σ λ/(λ + δ)"),
        Variable("weights", (), "number of weights", kind="int"),
    ),
)


def compute(problem: Problem, params: PosteriorMassParams, context: Context) -> Mapping[str, Any]:
    """The Jacobian of all examples once; of it the posterior of each subset, exactly."""
    from landscape.core.posterior.likelihood import likelihood_of
    from landscape.core.posterior.mass import PosteriorRows
    from landscape.core.problem.parameters import group_parameters

    if not all(0.0 < share <= 1.0 for share in params.shares):
        raise InputError(f"shares of the weights lie above 0 and up to 1; got {list(params.shares)}.")
    loss = problem.loss()
    if not np.isfinite(loss):
        raise InputError(f"the loss at the checkpoint is {loss}, so there is no posterior about it.")
    likelihood = likelihood_of(problem, "ml" if params.noise is None else params.noise)
    others = _others(problem, params, context)
    rows = PosteriorRows(problem, likelihood, others)
    context.progress(0.5)
    layers = group_parameters(problem.space.names, "module")
    delta = _prior_precision(problem, params, likelihood, rows)
    labels = {name: _labels(one) for name, one in {"data": problem, **others}.items()}
    whole = _Whole(rows, likelihood, delta, labels, params.bins)
    orders = [_order(by, problem, rows, delta, params.seed) for by in params.by]
    sizes = [max(1, round(share * problem.size)) for share in params.shares]
    done, subsets = 0, len(orders) * len(sizes) + len(layers)

    def measured(indices: Iterator[Tensor]) -> Iterator[dict[str, Any]]:
        nonlocal done
        for index in indices:
            done += 1
            context.progress(0.5 + 0.5 * done / subsets)
            yield whole.keeps(index)

    cells = [list(measured(order[:size].sort().values for size in sizes)) for order in orders]
    alone = list(measured(_entries(problem, members) for members in layers.values()))
    names = (*_SHARES, *_PREDICTIONS)
    nothing = {name: 0.0 * variance for name, variance in whole.kept.variance.items()}
    references = {"full": whole.kept.variance, "diagonal": rows.diagonal(delta), "map": nothing}
    eigenvalues = rows.eigenvalues().clamp(min=0.0).numpy()
    return {
        **{name: np.array([[cell[name] for cell in row] for row in cells]) for name in (*names, "wasted")},
        **{f"layer_{name}": np.array([layer[name] for layer in alone]) for name in names},
        **{
            f"{who}_{name}": np.array(values)
            for who, variance in references.items()
            for name, values in whole.predictions(variance).items()
        },
        "by": np.array(params.by),
        "share": np.array(params.shares),
        "inputs": np.array(list(rows.jacobians)),
        "layer": np.array([name or "(model)" for name in layers]),
        "layer_size": np.array([len(_entries(problem, members)) for members in layers.values()]),
        "prior_precision": delta,
        "effective_dimension": float((eigenvalues / (eigenvalues + delta)).sum()),
        "weights": problem.size,
    }


def _others(problem: Problem, params: PosteriorMassParams, context: Context) -> dict[str, Problem]:
    """The model on the inputs beside the data, if there are any."""
    import torch

    from landscape.core.problem.door.conversions import other_batches

    given = context.inputs.get("other")
    if given is not None and params.other_data:
        raise InputError("posterior_mass takes either the input other or the option other_data, not both.")
    if params.other_data:
        given = call(params.other_data, params.other_kwargs, "other_data")
    if given is None:
        return {}
    others: dict[str, Problem] = {}
    for name, data in (given if isinstance(given, Mapping) else {"other": given}).items():
        if isinstance(data, torch.Tensor):
            data = data, torch.full((len(data),), problem.reading.ignore_index)
        others[name] = problem.on(other_batches(problem, data))
    return others


def _labels(problem: Problem) -> Any:
    """The classes of the examples; ``None`` if they are none, or do not all count."""
    targets = [batch.target for batch in problem.batches]
    if problem.loss_name != "cross_entropy" or any(t.is_floating_point() or t.ndim != 1 for t in targets):
        return None
    labels = np.concatenate([target.cpu().numpy() for target in targets])
    return labels if (labels >= 0).all() else None


def _prior_precision(
    problem: Problem, params: PosteriorMassParams, likelihood: Likelihood, rows: PosteriorRows
) -> float:
    from landscape.core.linalg.psd_quadrature import PsdQuadrature
    from landscape.core.linalg.reductions import sum_of_squares
    from landscape.core.posterior.evidence import EvidenceCurve

    if isinstance(params.prior_precision, float):
        return params.prior_precision
    if problem.weight_decay and params.prior_precision is None:
        return likelihood.precision(problem.weight_decay)
    spectrum = PsdQuadrature.exact(rows.eigenvalues().numpy())
    return EvidenceCurve(0.0, sum_of_squares(problem.theta), problem.size, spectrum).best()


def _order(by: Ranking, problem: Problem, rows: PosteriorRows, delta: float, seed: int) -> Tensor:
    """All entries of θ, the highest first; of equal scores the first."""
    import torch

    from landscape.core.posterior.selection import selection_scores

    if by == "gradient":
        slope = problem.gradient() - problem.weight_decay * problem.theta
        scores = slope.double().abs().cpu()
    else:
        scores = selection_scores(by, problem.theta, lambda: rows.sums, delta, seed)
    return torch.argsort(scores, descending=True, stable=True)


def _entries(problem: Problem, members: Sequence[int]) -> Tensor:
    """The entries of θ of some parameters."""
    import torch

    ends = np.cumsum(problem.space.sizes)
    return torch.cat([torch.arange(ends[i] - problem.space.sizes[i], ends[i]) for i in members])


@dataclass
class _Whole:
    """The posterior over all weights, and what subsets keep of it."""

    rows: PosteriorRows
    likelihood: Likelihood
    delta: float
    labels: Mapping[str, Any]
    bins: int

    def __post_init__(self) -> None:
        self.kept = self.rows.kept(None, self.delta)

    def keeps(self, index: Tensor) -> dict[str, Any]:
        """What the entries of an index keep."""
        found, sums = self.rows.kept(index, self.delta), self.rows.sums
        return {
            "trace_share": float(sums.curvature[index].sum() / sums.curvature.sum()),
            "evidence_share": found.log_determinant / self.kept.log_determinant,
            "wasted": float((sums.reach[index] == 0).double().mean()),
            **self.predictions(found.variance),
        }

    def predictions(self, variance: Mapping[str, Tensor]) -> dict[str, list[float]]:
        """What predictions of these variances are like, for each group of inputs."""
        every = [self._of(name, v) for name, v in variance.items()]
        return {name: [one[name] for one in every] for name in _PREDICTIONS}

    def _of(self, name: str, variance: Tensor) -> dict[str, float]:
        from landscape.core.behaviour.calibration import Predictions, calibration_error
        from landscape.core.posterior.links import probit

        whole, nan = self.kept.variance[name], float("nan")
        if self.likelihood.kind == "heteroscedastic":  # of the means alone: noise has another unit
            variance, whole = (v[:, : v.shape[1] // 2] for v in (variance, whole))
        share = float(variance.sum() / whole.sum())
        if self.likelihood.kind != "categorical":  # a regression has no classes
            return {"variance_share": share, "predictive_tv": nan, "nll": nan, "ece": nan}
        ours, theirs = (probit(self.rows.outputs[name], v) for v in (variance, whole))
        distance = float((ours.exp() - theirs.exp()).abs().sum(1).mean() / 2)
        if self.labels[name] is None:
            return {"variance_share": share, "predictive_tv": distance, "nll": nan, "ece": nan}
        made = Predictions.of_logits(ours.numpy(), self.labels[name])
        return {
            "variance_share": share,
            "predictive_tv": distance,
            "nll": float(made.nll.mean()),
            "ece": float(calibration_error(made, self.bins)),
        }


STYLES: tuple[Literal["solid", "dash", "dot"], ...] = ("solid", "dash", "dot")


def _rankings(datasets: Mapping[str, xr.Dataset]) -> list[str]:
    """What all results rank by; of several models the three that say most, as many as there are dashes."""
    common = [str(by) for by in next(iter(datasets.values()))["by"].values]
    for ds in datasets.values():
        common = [by for by in common if by in ds["by"].values]
    if len(datasets) == 1 or len(common) <= len(STYLES):
        return common
    telling = [by for by in ("curvature", "random", "variance") if by in common]
    return (telling + [by for by in common if by not in telling])[: len(STYLES)]


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """Shares of trace and variance, and the distance of predictions, over the share of weights; layers."""
    first = next(iter(datasets.values()))
    examples = first.attrs.get("examples", "?")
    about = f"Laplace posterior over {examples} examples; weights not kept stay at the checkpoint."
    told = _rankings(datasets)
    figures = []
    for name, title, what, long in (
        ("variance_share", "Predictive variance", "share of predictive variance", "of that of all weights"),
        ("predictive_tv", "Distance of predictions", "total variation", "from the prediction of all weights"),
        ("trace_share", "Curvature", "share of the trace", "of the Gauss-Newton matrix"),
    ):
        marks = []
        for label, ds in datasets.items():
            values = ds[name].isel(inputs=0) if "inputs" in ds[name].dims else ds[name]
            for by in told:
                # one model: its rankings are told apart by colour; of several, by dashes
                one, who = len(datasets) == 1, series(label, ds)
                mark = Series(by) if one else Series(who.model, who.group, f"{label}, {by}")
                y = values.sel(by=by).values
                marks.append(
                    Line(
                        ds["share"].values,
                        y,
                        mark,
                        markers=True,
                        style=None if one else STYLES[told.index(by)],
                    )
                )
        figures.append(
            FigureSpec(
                name,
                f"{title} by share of weights kept",
                Axis("share of weights kept", scale="log"),
                Axis(what),
                tuple(marks),
                f"{what[0].upper()}{what[1:]} {long}, for weights chosen by {', '.join(told)}. {about}",
            )
        )
    bars = [
        Bars(
            np.arange(ds.sizes["layer"]), ds["layer_variance_share"].isel(inputs=0).values, series(label, ds)
        )
        for label, ds in datasets.items()
        if list(ds["layer"].values) == list(first["layer"].values)
    ]
    figures.append(
        FigureSpec(
            "layers",
            "Predictive variance of single layers",
            Axis("layer", categories=tuple(map(str, first["layer"].values))),
            Axis("share of predictive variance"),
            tuple(bars),
            f"What the weights of one layer alone keep of the variance of the outputs. {about}",
        )
    )
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """What the ranking that keeps most keeps, and what is wasted."""
    middle = ds.sizes["share"] // 2
    share = float(ds["share"][middle])
    kept = ds["variance_share"].isel(share=middle, inputs=0)
    best = int(np.argmax(kept.values))
    return [
        Metric(
            "most variance",
            float(kept[best]),
            "1",
            f"share of predictive variance in {share:.3g} of the weights, by {ds['by'].values[best]!s}",
        ),
        Metric(
            "last layer",
            float(ds["layer_variance_share"][-1, 0]),
            "1",
            f"share of predictive variance of '{ds['layer'].values[-1]!s}' alone",
        ),
        Metric(
            "N(δ)",
            float(ds["effective_dimension"]),
            "1",
            f"directions that the data determine at δ = {float(ds['prior_precision']):.3g}, of"
            f" {int(ds['weights'])}",
        ),
    ]


posterior_mass = Analysis(
    name="posterior_mass",
    title="Posterior mass of subsets",
    description=(
        "What a subset S of the weights keeps of a Laplace posterior with the full Gauss-Newton covariance"
        " (Daxberger et al. 2021, Bayesian deep learning via subnetwork inference), for weights ranked by"
        " several scores and for single layers: the share of the trace of H, of ln det(I + H/δ), of the"
        " variance of the outputs diag(JΣJᵀ), and the total variation of the predictions by the probit link"
        " from those of all weights. `wasted` are weights that move the output of no example: a ranking by"
        " marginal variance prefers them. All is exact, of the Jacobian of all examples at once, by inverses"
        " of the size of the data, whatever the number of weights: take examples= of some 50."
    ),
    scope="checkpoint",
    params=PosteriorMassParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=2.0, gradients=20.0),
    inputs=("other",),
)

"""``batch_spectra``: the extreme Hessian eigenvalues of many mini-batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from landscape.analyses._shared.captions import LOSS_UNIT, loss_unit, weight_decays
from landscape.analyses._shared.shared_scale import typical_lowest
from landscape.analyses.curvature._operator import finite_loss
from landscape.analyses.curvature._options import Tolerance
from landscape.base.analysis import NEW_OPTION, Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Line, Violin, series
from landscape.base.interval import Interval
from landscape.base.params import FUNCTION
from landscape.base.schema import Schema, Variable
from landscape.core.stats.bootstrap import draw_counts, percentile_interval
from landscape.core.stats.density import gaussian_density
from landscape.core.stats.intervals import reach, standard_error
from landscape.imports import REFERENCE, resolve

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.ledger import Piece
    from landscape.core.data.batches import Batch
    from landscape.core.problem.problem import Problem


class BatchSpectraParams(Params):
    """Options of ``batch_spectra``."""

    batch_size: int = Field(16, ge=1, description="examples per mini-batch")
    k: int = Field(5, ge=1, description="eigenvalues of largest magnitude per mini-batch")
    fraction: float = Field(
        1.0, gt=0, le=1, description="share of the mini-batches, chosen by the seed; at least two"
    )
    shuffle: bool | None = Field(
        None,
        description="whether to deal the examples to the mini-batches at random, as in training; none: yes,"
        " unless the data's batches differ in form, so that each is cut by itself, in its order; false: the"
        " data's order, which must then not be sorted by class",
    )
    augment: Literal["none", "shift", "flip", "shift+flip"] = Field(
        "none", description="random change of the images; the input `transform` takes its place"
    )
    batch_transform: Annotated[str, Field(pattern=f"^$|{REFERENCE}"), FUNCTION, NEW_OPTION] = Field(
        "",
        description="function (images, targets, generator) -> (images, targets) that changes each mini-batch"
        " and may change its targets, package.module:function; it takes the place of `augment`",
    )
    batch_transform_kwargs: Annotated[dict[str, Any], NEW_OPTION] = Field(
        {}, description="its further arguments, by name"
    )
    margin: int | None = Field(
        None,
        ge=1,
        description="most pixels of a shift, as in training; none = an eighth of the side of the images",
    )
    tol: Tolerance = 1e-3
    max_products: int | None = Field(
        None, ge=1, description="most matrix-vector products per mini-batch; none = 500 + 20 k"
    )
    search: bool = Field(
        True, description="whether to search for missed eigenvalues, for about 10 more products each"
    )
    bootstrap: int = Field(1000, ge=2, description="bootstrap resamples over mini-batches")
    seed: int = Field(
        0, ge=0, description="seed of the order, the choice, the augmentation, the starts, the bootstrap"
    )

    @model_validator(mode="after")
    def _one_change(self) -> BatchSpectraParams:
        if self.batch_transform and self.augment != "none":
            raise ValueError("batch_transform takes the place of augment; leave one of them out")
        return self


_INTERVAL = "95 % bootstrap interval over mini-batches of"

SCHEMA = Schema(
    version=2,
    coords=(
        Variable("batch", ("batch",), "index of the mini-batch", "", kind="int"),
        Variable("eigenpair", ("eigenpair",), "rank by falling |λ|", "", kind="int"),
        Variable("bound", ("bound",), "end of the 95 % bootstrap interval", "", kind="str"),
    ),
    variables=(
        Variable("eigenvalues", ("batch", "eigenpair"), "eigenvalue λ of the batch's Hessian", LOSS_UNIT),
        Variable(
            "residuals",
            ("batch", "eigenpair"),
            "residual norm ‖Au − λu‖, a bound on the error of λ",
            LOSS_UNIT,
        ),
        Variable("batch_loss", ("batch",), "loss of the batch, weight-decay term included", LOSS_UNIT),
        Variable("example", ("batch", "member"), "index of each example in the data", "", kind="int"),
        Variable("shuffled", (), "whether examples were dealt to mini-batches at random", "", kind="bool"),
        Variable("batch_converged", ("batch",), "whether every residual is within tolerance", "", "bool"),
        Variable(
            "batch_complete",
            ("batch",),
            "whether the search for missed eigenvalues ended without a find",
            "",
            "bool",
        ),
        Variable("batch_products", ("batch",), "matrix-vector products used", kind="int"),
        Variable("negative_proportion", (), "NEP: share of negative ones among all eigenvalues found"),
        Variable("negative_proportion_interval", ("bound",), f"{_INTERVAL} the NEP"),
        Variable("mean_positive", (), "APE: mean of the positive eigenvalues", LOSS_UNIT),
        Variable("mean_positive_interval", ("bound",), f"{_INTERVAL} the APE", LOSS_UNIT),
        Variable("mean_negative", (), "mean of the negative eigenvalues", LOSS_UNIT),
        Variable("mean_negative_interval", ("bound",), f"{_INTERVAL} mean_negative", LOSS_UNIT),
        Variable("converged", (), "whether every mini-batch has converged", "", kind="bool"),
        Variable("products", (), "matrix-vector products used, each over one mini-batch", kind="int"),
        Variable("notice", (), "of which eigenvalues the sign is open", "", kind="str", optional=True),
    ),
)


def compute(problem: Problem, params: BatchSpectraParams, context: Context) -> Mapping[str, Any]:
    """Lanczos on the Hessian of each mini-batch; a run that is killed keeps the finished ones."""
    from landscape.core.curvature.operator import hessian
    from landscape.core.data.augment import augment_batch
    from landscape.core.data.batch_transform import takes_targets, transform_batch
    from landscape.core.data.batches import tensors_in
    from landscape.core.data.minibatches import split_into_minibatches
    from landscape.core.linalg.eigenpairs import eigenpairs
    from landscape.core.problem.fingerprint import fingerprint
    from landscape.core.seeds import spread_seed

    transform = context.inputs.get("transform")
    if transform is None and params.batch_transform:
        name = params.batch_transform
        transform = partial(resolve(name, "batch_transform"), **params.batch_transform_kwargs)
    how = transform if transform is not None else params.augment
    rng = np.random.default_rng(params.seed)
    dealt = split_into_minibatches(problem.batches, params.batch_size, shuffle=params.shuffle, generator=rng)
    # Two at least: the intervals come from the spread over mini-batches.
    count = max(min(2, len(dealt)), round(params.fraction * len(dealt)))
    chosen = np.sort(rng.choice(len(dealt), count, replace=False))

    def changed(position: int) -> Batch:
        number = int(chosen[position])
        batch = dealt[number]
        if how == "none":
            return batch
        if callable(how) and (params.batch_transform or takes_targets(how)):
            called = f"batch_transform '{params.batch_transform}'" if params.batch_transform else "transform"
            return transform_batch(batch, how, spread_seed(params.seed, number), called)
        return augment_batch(batch, how, spread_seed(params.seed, number), params.margin)

    def solve(position: int) -> Piece:
        number = int(chosen[position])
        part = problem.on([changed(position)])
        loss = finite_loss(part, f"of mini-batch {number}")
        with hessian(part) as operator:
            found = eigenpairs(
                operator,
                params.k,
                tol=params.tol,
                max_products=params.max_products,
                seed=spread_seed(params.seed, number),
                search=params.search,
            )
        return {
            "eigenvalues": found.values.numpy(),
            "residuals": found.residuals.numpy(),
            "batch_loss": np.array(loss),
            "batch_converged": np.array(found.converged),
            "batch_complete": np.array(found.complete),
            "batch_products": np.array(found.products),
        }

    # a function is known by what it does: names of lambdas and partial functions are alike
    effect = "" if transform is None else fingerprint(tensors_in(changed(0).raw))
    context.ledger.require("transform", effect)
    pieces = context.ledger.collect(
        [f"batch-{number}" for number in chosen],
        solve,
        lambda done: context.progress(done / len(chosen)),
    )
    data = {name: np.stack([piece[name] for piece in pieces]) for name in pieces[0]}
    return {
        "batch": chosen,
        "eigenpair": np.arange(data["eigenvalues"].shape[1]),
        "bound": np.array(["low", "high"]),
        "example": dealt.members[chosen],
        "shuffled": dealt.shuffled,
        **data,
        **_pooled(data["eigenvalues"], params),
        "converged": bool(data["batch_converged"].all()),
        "products": int(data["batch_products"].sum()),
        "notice": _open_signs(data["eigenvalues"], data["residuals"]),
    }


def _open_signs(values: Any, residuals: Any) -> str:
    """A sentence on eigenvalues that the NEP counts on one side of 0 though they may lie on the other."""
    count = int(((residuals >= np.abs(values)) & (residuals > 0)).sum())
    if not count:
        return ""
    return (
        f"the sign of {count} of {values.size} eigenvalues is within their error, so that the NEP may be off"
        f" by as much as {count / values.size:.2g}; a smaller tol or k decides them"
    )


def _pooled(values: Any, params: BatchSpectraParams) -> dict[str, Any]:
    """NEP, APE and their like over all eigenvalues, with intervals from resampled mini-batches."""
    count = len(values)
    draws = draw_counts(count, params.bootstrap, params.seed)
    negative, positive = values < 0, values > 0
    parts = {
        "negative_proportion": (negative.sum(1), np.full(count, values.shape[1])),
        "mean_positive": (np.where(positive, values, 0.0).sum(1), positive.sum(1)),
        "mean_negative": (np.where(negative, values, 0.0).sum(1), negative.sum(1)),
    }
    pooled: dict[str, Any] = {}
    with np.errstate(invalid="ignore", divide="ignore"):  # no positive one: the mean is NaN
        for name, (above, below) in parts.items():
            pooled[name] = float(above.sum() / np.float64(below.sum()))
            ratios = (draws @ above) / (draws @ below)
            ratios = ratios if count > 1 else ratios[:0]  # one mini-batch says nothing of the spread
            pooled[f"{name}_interval"] = percentile_interval(ratios, finite=True, examples=count)
    if count > 1:
        # Of few mini-batches with few eigenvalues, most have as many negative ones: the bootstrap does not
        # leave the range of what it saw. At least Student's interval, and one eigenvalue more.
        least = 1.0 / (values.shape[1] * (count + 2))
        half = reach(count) * max(standard_error(negative.mean(1)), least)
        middle, (low, high) = pooled["negative_proportion"], pooled["negative_proportion_interval"]
        ends = min(low, middle - half), max(high, middle + half)
        pooled["negative_proportion_interval"] = np.clip(ends, 0.0, 1.0)
    return pooled


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """The pooled density of positive and negative eigenvalues, and a violin per model."""
    unit = loss_unit(datasets)
    pooled = [ds["eigenvalues"].values.ravel() for ds in datasets.values()]
    sizes = np.abs(np.concatenate(pooled))
    sizes = sizes[sizes > 0]
    low, high = (sizes.min(), sizes.max()) if sizes.size else (0.1, 1.0)
    # The linear part of the axis ends below the smallest eigenvalue, of most models.
    typical = typical_lowest(float(p[p > 0].min(initial=np.inf)) for p in map(np.abs, pooled))
    linear = 10.0 ** np.floor(np.log10(typical))
    curves = [line for label, ds in datasets.items() for line in _densities(label, ds, low, high)]
    violins = [
        Violin(index, values, series(label, ds))
        for index, ((label, ds), values) in enumerate(zip(datasets.items(), pooled, strict=True))
    ]
    first = next(iter(datasets.values()))
    options = BatchSpectraParams.model_validate_json(first.attrs["parameters"])
    changed = "" if options.augment == "none" else f", augmented by {options.augment}"
    changed += f", changed by {options.batch_transform}" if options.batch_transform else ""
    changed += f" of up to {options.margin} pixels" if options.augment != "none" and options.margin else ""
    orders = {"at random" if ds["shuffled"] else "in the data's order" for ds in datasets.values()}
    about = (
        f"The {first.sizes['eigenpair']} eigenvalues of largest magnitude of the Hessian of each of"
        f" {first.sizes['batch']} mini-batches of {first.sizes['member']} examples, dealt"
        f" {' or '.join(sorted(orders))}{changed}, {weight_decays(datasets)}, pooled"
    )
    return [
        FigureSpec(
            "density",
            "Eigenvalues of mini-batch Hessians",
            Axis("|λ|", unit, scale="log"),
            Axis("share of eigenvalues per decade"),
            tuple(curves),
            f"{about}. Density of log₁₀|λ| of the positive (solid) and negative ones (dashed), whose areas"
            " are their shares; Gaussian kernel of Silverman's width.",
            Interval("over mini-batches", "by the bootstrap"),
        ),
        FigureSpec(
            "violins",
            "Eigenvalues of mini-batch Hessians by model",
            Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
            Axis("eigenvalue λ", unit, scale="symlog", linthresh=float(linear)),
            tuple(violins),
            f"{about}. Width: density on the axis shown, linear within ±{linear:g} {unit}. Dot: median; bar:"
            " quartiles.",
        ),
    ]


def _densities(label: str, ds: xr.Dataset, low: float, high: float) -> list[Line]:
    """Densities of log10 |λ| of the positive and of the negative half."""
    values = ds["eigenvalues"].values
    options = BatchSpectraParams.model_validate_json(ds.attrs["parameters"])
    count = len(values)
    draws = draw_counts(count, 200, options.seed)
    with np.errstate(divide="ignore"):
        logs = np.log10(np.abs(values))
    grid = np.linspace(np.log10(low) - 0.3, np.log10(high) + 0.3, 200)
    lines = []
    sides: tuple[tuple[Any, Literal["solid", "dash"], str], ...] = (
        (values > 0, "solid", "λ > 0"),
        (values < 0, "dash", "λ < 0"),
    )
    for half, style, name in sides:
        # a half without eigenvalues has the density zero, which counts in a median over models
        width = _silverman(logs[half]) if half.any() else 1.0
        rows = np.array(
            [gaussian_density(x[h], np.ones(h.sum()), grid, width) for x, h in zip(logs, half, strict=True)]
        )
        rows /= values.shape[1]
        low_end, high_end = percentile_interval(draws @ rows / count, examples=count)
        band = (low_end, high_end) if count > 1 else (None, None)
        who = replace(series(label, ds), label=f"{label}, {name}")
        lines.append(Line(10**grid, rows.mean(0), who, band[0], band[1], style=style))
    return lines


def _silverman(x: Any) -> float:
    """Silverman's rule of thumb (1986, eq. 3.31), at least a fiftieth of a decade."""
    upper, lower = np.quantile(x, [0.75, 0.25])
    spread = float(min(x.std(), (upper - lower) / 1.34))
    return max(0.9 * spread / float(len(x) ** 0.2), 0.02)


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """NEP and APE with their intervals."""
    unit = loss_unit({"": ds})
    return [
        Metric(
            short,
            float(ds[name]),
            own,
            f"{ds[name].attrs['long_name']}; 95 % interval"
            f" {float(ds[f'{name}_interval'][0]):.3g} to {float(ds[f'{name}_interval'][1]):.3g}",
        )
        for short, name, own in (("NEP", "negative_proportion", "1"), ("APE", "mean_positive", unit))
    ]


def _cost(params: BatchSpectraParams) -> Cost:
    """About 3 k products and 10 for the search, over the share of the data that is used."""
    products = min(3 * params.k + (10 if params.search else 0), params.max_products or 10**9)
    return Cost(forwards=2.0 * params.fraction, gradients=2.6 * products * params.fraction)


batch_spectra = Analysis(
    name="batch_spectra",
    title="Mini-batch Hessian spectra",
    description=(
        "The eigenvalues of largest magnitude of the Hessian of loss and weight decay of each mini-batch,"
        " pooled, as in 'How do vision transformers work?' (Park & Kim 2022, Figure 1c), who take"
        " mini-batches of 16 from about 10 % of the augmented training data: give such data, or `fraction`"
        " and `augment` or `batch_transform`, which may change targets too (mixup, cutmix). The examples are"
        " dealt to the mini-batches at random, as in training. NEP is the"
        " share of negative eigenvalues, APE the mean of the positive ones; both with bootstrap intervals"
        " over mini-batches. Lanczos with residuals; power iteration does not settle where λ ≈ −λ′. With"
        " `batchnorm='batch'` the problem uses each mini-batch's own statistics."
    ),
    scope="checkpoint",
    params=BatchSpectraParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
    inputs=("transform",),
)

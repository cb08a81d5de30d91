"""``llc``: the local learning coefficient, how singular the loss is about a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import LOSS_UNIT, error_bars, weight_decays
from landscape.analyses.curvature._along_training import along_training
from landscape.analyses.curvature._operator import finite_loss
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, FigureSpec, Guide, Line, Mark, Points, Series, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import reach, standard_error
from landscape.core.stats.r_hat import split_r_hat

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.ledger import Piece
    from landscape.core.curvature.langevin import Langevin
    from landscape.core.problem.problem import Problem

__all__ = ["LlcParams", "llc"]

Positive = Annotated[float, Field(gt=0)]

STIFFEST = 0.4
"""ε(nβλ_max + γ) of the step by default: it adds a ninth to the stiffest direction's part of λ̂."""

MIXED = 1.1
"""R̂ below which chains count as mixed."""


class LlcParams(Params):
    """Options of ``llc``."""

    step: float | None = Field(
        None, gt=0, description="size ε of the steps; none: 0.4/(nβλ_max + γ), λ_max of the Hessian"
    )
    localization: float = Field(100.0, ge=0, description="precision γ that holds chains near the checkpoint")
    inverse_temperature: float | None = Field(
        None, gt=0, description="nβ, by which the mean loss is multiplied; none: n/ln n"
    )
    chains: int = Field(4, ge=1, description="chains, each from the checkpoint on")
    burn_in: int = Field(300, ge=0, description="steps of each chain that are left out")
    samples: int = Field(300, ge=4, description="steps of each chain after them, each a draw")
    batch_size: int = Field(32, ge=1, description="examples of each step")
    step_factors: tuple[Positive, ...] = Field(
        (0.5, 1.0, 2.0), description="multiples of ε that λ̂ is computed at too"
    )
    localization_factors: tuple[Positive, ...] = Field(
        (0.1, 1.0, 10.0), description="multiples of γ that λ̂ is computed at too"
    )
    seed: int = Field(0, ge=0, description="seed of batches and noise")


GRID = ("step_factor", "localization_factor")
SCHEMA = Schema(
    version=1,
    coords=(
        Variable("step_factor", ("step_factor",), "multiple of the step ε"),
        Variable("localization_factor", ("localization_factor",), "multiple of the precision γ"),
        Variable("chain", ("chain",), "number of the chain", "", kind="int"),
        Variable("draw", ("draw",), "step of the chain, burn-in included", "", kind="int"),
    ),
    variables=(
        Variable("llc", (), "local learning coefficient λ̂ = nβ (E L(w) − L*)"),
        Variable("llc_se", (), "standard error of llc over chains; NaN for one"),
        Variable("r_hat", (), "R̂ of the loss over halves of the chains; near 1 if they have mixed"),
        Variable("chain_llc", ("chain",), "λ̂ of each chain alone"),
        Variable("rise", ("chain", "draw"), "rise L_B(w) − L_B(w*) on the batch of each step", LOSS_UNIT),
        Variable("llc_grid", GRID, "λ̂ at multiples of step and precision"),
        Variable("llc_grid_se", GRID, "standard error of llc_grid over chains; NaN for one"),
        Variable("r_hat_grid", GRID, "R̂ at multiples of step and precision"),
        Variable("step", (), "size ε of the steps"),
        Variable("localization", (), "precision γ"),
        Variable("inverse_temperature", (), "nβ, by which the mean loss is multiplied"),
        Variable(
            "top_eigenvalue", (), "largest eigenvalue behind the step; NaN if the step is given", LOSS_UNIT
        ),
        Variable("burn_in", (), "steps of each chain that are left out", kind="int"),
        Variable("loss", (), "loss at the checkpoint, over all the data: L*", LOSS_UNIT),
        Variable("converged", (), "whether R̂ is below 1.1 and no chain diverged", "", "bool"),
        Variable("notice", (), "what speaks against the number", "", "str", optional=True),
    ),
)


def compute(problem: Problem, params: LlcParams, context: Context) -> Mapping[str, Any]:
    """Chain by chain; a run that is killed keeps the finished ones."""
    from landscape.core.curvature.langevin import Langevin, inverse_temperature, langevin_chain, local_llc

    loss = finite_loss(problem)
    heat = params.inverse_temperature or inverse_temperature(problem.examples)
    top = float("nan")  # no step hangs on it
    if params.step is None:
        top = float(context.ledger.remember("top", lambda: {"value": _top(problem, params)})["value"])
    step = params.step or STIFFEST / max(heat * max(top, 0.0) + params.localization, 1e-12)
    base = Langevin(
        step, params.localization, heat, params.batch_size, burn_in=params.burn_in, samples=params.samples
    )
    factors = [sorted({1.0, *given}) for given in (params.step_factors, params.localization_factors)]
    cells = [(s, g) for s in factors[0] for g in factors[1]]
    cells.sort(key=lambda cell: cell != (1.0, 1.0))  # what is asked for comes first
    runs = [(cell, chain) for cell in cells for chain in range(params.chains)]

    def one(index: int) -> Piece:
        (s, g), chain = runs[index]
        settings = replace(base, step=s * step, localization=g * params.localization)

        def inside(fraction: float) -> None:
            context.progress((index + fraction) / len(runs))

        # Of each cell the same random numbers, so that cells differ by what their settings do.
        return {"rise": langevin_chain(problem, settings, seed=params.seed, chain=chain, on_progress=inside)}

    names = [f"chain-{s:g}-{g:g}-{chain}" for (s, g), chain in runs]
    done = context.ledger.collect(names, one, lambda count: context.progress(count / len(runs)))
    shape = tuple(map(len, factors))
    grid = {name: np.full(shape, np.nan) for name in ("llc_grid", "llc_grid_se", "r_hat_grid")}
    main: dict[str, Any] = {}
    for number, (s, g) in enumerate(cells):
        pieces = done[number * params.chains : (number + 1) * params.chains]
        rises = np.stack([piece["rise"] for piece in pieces])
        kept = rises[:, params.burn_in :]
        each = local_llc(kept, base)
        place = factors[0].index(s), factors[1].index(g)
        found = {"llc": each.mean(), "llc_se": standard_error(each), "r_hat": split_r_hat(kept)}
        for name, value in found.items():
            grid[f"{name}_grid" if name == "r_hat" else name.replace("llc", "llc_grid")][place] = value
        if (s, g) == (1.0, 1.0):
            main = {**found, "chain_llc": each, "rise": rises}
    mixed = bool(np.isfinite(main["llc"]) and (main["r_hat"] < MIXED))
    return {
        **main,
        **grid,
        "step_factor": np.array(factors[0]),
        "localization_factor": np.array(factors[1]),
        "chain": np.arange(params.chains),
        "draw": np.arange(params.burn_in + params.samples),
        "step": step,
        "localization": params.localization,
        "inverse_temperature": heat,
        "top_eigenvalue": top,
        "burn_in": params.burn_in,
        "loss": loss,
        "converged": mixed,
        "notice": _notice(main, base),
    }


def _top(problem: Problem, params: LlcParams) -> float:
    """The largest eigenvalue of the Hessian, roughly."""
    from landscape.core.curvature.operator import hessian
    from landscape.core.linalg.eigenpairs import eigenpairs

    with hessian(problem) as H:
        return float(eigenpairs(H, 1, "LA", tol=0.03, seed=params.seed, search=False).values[0])


def _notice(main: Mapping[str, Any], settings: Langevin) -> str:
    """What speaks against a number, without its last full stop."""
    value, r_hat = float(main["llc"]), float(main["r_hat"])
    if not np.isfinite(value):
        return f"a chain diverged: take a smaller step than {settings.step:.2g}, or a larger localization"
    said = []
    if not r_hat < MIXED:
        said.append(
            f"the chains have not mixed (R̂ = {r_hat:.3g}): more burn_in and samples, or a larger localization"
        )
    if value < 0:
        said.append(
            "negative: chains find lower losses than the checkpoint's, which is no minimum of this loss on"
            " these data, and the number says no more than that"
        )
    return ". ".join(said)


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """The models side by side, the grid of both knobs, and the chains of each model."""
    first = next(iter(datasets.values()))
    about = f"Mean loss over {first.attrs.get('examples', '?')} examples, {weight_decays(datasets)}."
    counts = [ds.sizes["chain"] for ds in datasets.values()]
    bars = error_bars(counts, "over chains", "Bars")
    points: list[Mark] = []
    knobs: list[Mark] = []
    for index, (label, ds) in enumerate(datasets.items()):
        value, half = float(ds["llc"]), _half(ds, ds["llc_se"].values)
        note = (f"{value:.4g}, R̂ = {float(ds['r_hat']):.3f}",)
        points.append(Points([index], [value], series(label, ds), error=[half], texts=note))
        gammas = float(ds["localization"]) * ds["localization_factor"].values
        for row, factor in enumerate(ds["step_factor"].values):
            who = replace(series(label, ds), label=f"{label}, ε × {factor:g}")
            y, error = ds["llc_grid"].values[row], _half(ds, ds["llc_grid_se"].values[row])
            style: Literal["solid", "dash", "dot"] = (
                "solid" if factor == 1.0 else "dash" if factor < 1.0 else "dot"
            )
            knobs.append(Line(gammas, y, who, y - error, y + error, markers=True, style=style))
    figures = [
        FigureSpec(
            "llc",
            "Local learning coefficient",
            Axis("model", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5)),
            Axis("λ̂"),
            tuple(points),
            "Local learning coefficient λ̂ = nβ (E L(w) − L*) by Langevin dynamics about each checkpoint."
            f" {about}",
            bars,
        ),
        *along_training(datasets, _training(about), "llc"),
        FigureSpec(
            "grid",
            "How λ̂ depends on the two knobs",
            Axis("precision γ that holds the chains", scale="log"),
            Axis("λ̂"),
            tuple(knobs),
            "λ̂ against the precision γ, at the step ε (solid), shorter ones (dashed) and longer ones"
            f" (dotted). A number that holds only for one setting is none of the model's. {about}",
            error_bars(counts, "over chains"),
        ),
    ]
    return [*figures, *(_chains(i, label, ds) for i, (label, ds) in enumerate(datasets.items()))]


def _training(about: str) -> FigureSpec:
    return FigureSpec(
        "training",
        "Local learning coefficient along training",
        Axis(""),
        Axis("λ̂"),
        (),
        f"Local learning coefficient λ̂ by Langevin dynamics about each checkpoint. {about}",
    )


def _half(ds: xr.Dataset, se: Any) -> Any:
    """Half the width of a 95 % interval; 0 where a single chain has none."""
    return np.nan_to_num(reach(max(2, ds.sizes["chain"])) * se)


WINDOW = 25
"""Steps that a trace is averaged over: the noise of single batches hides where it goes."""


def _chains(index: int, label: str, ds: xr.Dataset) -> FigureSpec:
    """Traces of the chains of one model."""
    chains, draws = ds["rise"].shape
    window = max(1, min(WINDOW, draws // 8))
    heat, burn_in = float(ds["inverse_temperature"]), int(ds["burn_in"])
    marks: list[Mark] = []
    for chain in range(chains):
        mean = np.convolve(heat * ds["rise"].values[chain], np.full(window, 1 / window), "valid")
        at = np.arange(len(mean)) + (window - 1) / 2
        marks.append(Line(at, mean, Series(f"chain {chain + 1}")))
    if burn_in:
        marks.append(Guide(x=float(burn_in), label="burn-in ends"))
    if np.isfinite(float(ds["llc"])):
        marks.append(Guide(y=float(ds["llc"]), label="λ̂"))
    return FigureSpec(
        f"chains_{index}",
        f"Chains: {label}",
        Axis("step"),
        Axis("nβ (L(w) − L(w*))"),
        tuple(marks),
        f"Rise of the loss along each chain, times nβ, averaged over {window} steps; what comes before the"
        f" end of burn-in is left out of λ̂. ε = {float(ds['step']):.2g}, γ = {float(ds['localization']):g},"
        f" nβ = {heat:.4g}; R̂ = {float(ds['r_hat']):.3f}.",
    )


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """λ̂, how well it is known, and how much it depends on its knobs."""
    half = _half(ds, float(ds["llc_se"]))
    grid = ds["llc_grid"].values
    known = grid[np.isfinite(grid)]
    low, high = (float(known.min()), float(known.max())) if known.size else (float("nan"),) * 2
    return [
        Metric("λ̂", float(ds["llc"]), "1", f"local learning coefficient, ± {half:.2g} (95 %)", finding=True),
        Metric("R̂", float(ds["r_hat"]), "1", "near 1 if the chains have mixed"),
        Metric("λ̂ lowest", low, "1", "over the grid of steps and precisions"),
        Metric("λ̂ highest", high, "1", "over the grid of steps and precisions"),
    ]


def _cost(params: LlcParams) -> Cost:
    cells = len({1.0, *params.step_factors}) * len({1.0, *params.localization_factors})
    steps = params.chains * (params.burn_in + params.samples) * cells
    return Cost(
        forwards=2.0,
        gradients=0.0 if params.step else 50.0,
        example_gradients=float(steps * params.batch_size),
    )


llc = Analysis(
    name="llc",
    title="Local learning coefficient",
    description=(
        "How singular the loss is about a checkpoint w* (Lau et al. 2023): λ̂ = nβ (E L(w) − L(w*)) with nβ ="
        " n/ln n over w from exp(−nβ L(w) − γ‖w − w*‖²/2), by stochastic gradient Langevin dynamics in"
        " several chains. Of a regular minimum of P parameters it is P/2, of a degenerate one less; held by"
        " γ, a quadratic has ½ Σ nβh/(nβh + γ) over its curvatures h, half the effective dimension at α ="
        " γ/nβ, and steps of size ε divide each term by 1 − ε(nβh + γ)/4. L* is the loss over all the data,"
        " and each step counts the rise of its own batch's loss, whose noise drops out; burn-in is left out."
        " λ̂ depends on γ and ε, so that a grid of both belongs to the result, with traces of the chains, R̂"
        " and an error over chains. L includes weight decay. Away from a minimum λ̂ may be negative, and says"
        " nothing."
    ),
    scope="checkpoint",
    params=LlcParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)

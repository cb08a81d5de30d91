"""``structure``: what the Hessian is made of, where it lies in the network, how it meets the gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from landscape.analyses._shared.captions import loss_unit
from landscape.analyses.curvature._operator import finite_loss
from landscape.analyses.curvature._resume import resumed_eigenpairs
from landscape.analyses.curvature.structure.figures import plots
from landscape.analyses.curvature.structure.schema import SCHEMA
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.ledger import Ledger, Piece
    from landscape.core.linalg.eigenpairs import Eigenpairs
    from landscape.core.linalg.operators import SymmetricOperator
    from landscape.core.problem.problem import Problem

ALPHAS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
RADII = (0.05, 0.1, 0.2, 0.5, 1.0)
NORM_TOL = 0.01  # of a largest eigenvalue alone, whose error is about its square
SHARES = {"hessian": 0.35, "ggn": 0.2, "residual": 0.15, "split": 0.1, "dimension": 0.15, "sharpness": 0.05}
"""About how much of the time each stage takes."""


class StructureParams(Params):
    """Options of ``structure``."""

    k: int = Field(20, ge=1, description="eigenpairs of largest magnitude")
    tol: float = Field(
        1e-4, gt=0, description="residual at which a pair counts as converged, relative to max |λ|"
    )
    max_products: int | None = Field(
        None, ge=1, description="most products for the eigenpairs of each matrix; none = 500 + 20 k"
    )
    by: Literal["module", "parameter"] = Field(
        "module", description="what a layer is: the parameters of one module, or each parameter tensor"
    )
    samples: int = Field(16, ge=4, description="random signs for traces and Frobenius norms")
    alphas: tuple[float, ...] = Field(ALPHAS, description="values of α in the effective dimension Σ λ/(λ+α)")
    probes: int = Field(4, ge=1, description="random probes of the effective dimension")
    steps: int = Field(30, ge=1, description="Lanczos steps (products) per probe")
    radii: tuple[float, ...] = Field(RADII, description="radii ρ of adaptive sharpness")
    ascent_steps: int = Field(5, ge=0, description="gradient steps to the worst point of each radius")
    eta: float = Field(0.0, ge=0, description="added to |θ| in the scales of adaptive sharpness")
    seed: int = Field(0, ge=0, description="seed of starting vectors and probes")


def compute(problem: Problem, params: StructureParams, context: Context) -> Mapping[str, Any]:
    """Stage by stage; a run that is killed keeps the finished ones."""
    from landscape.core.curvature.operator import ggn, hessian

    loss = finite_loss(problem)
    ledger = context.ledger
    with hessian(problem) as H, ggn(problem) as G:
        stages = _Stages(problem, params, H, G, ledger)
        found: dict[str, Piece] = {}
        before = 0.0
        for name, share in SHARES.items():

            def inside(fraction: float, before: float = before, share: float = share) -> None:
                context.progress(before + share * min(fraction, 1.0))

            stage: Callable[..., Piece] = getattr(stages, name)
            (found[name],) = ledger.collect([name], lambda _, s=stage, p=inside: s(found, p))  # type: ignore[misc]
            before += share
    data = {k: v for piece in found.values() for k, v in piece.items() if not k.startswith("_")}
    return {
        **data,
        **_outliers(data, problem.weight_decay),
        **_shares(problem, params, found),
        "eigenpair": np.arange(len(data["eigenvalues"])),
        "loss": loss,
        "converged": bool(data["hessian_converged"] and data["ggn_converged"]),
        **_classes(problem),
    }


@dataclass(frozen=True)
class _Stages:
    """The parts of the computation, each a function of those before it.

    Names that begin with an underscore are for later stages only.
    """

    problem: Problem
    params: StructureParams
    H: SymmetricOperator
    G: SymmetricOperator
    ledger: Ledger

    def hessian(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        pairs = self._pairs("hessian", self.H, None, progress)
        return {
            "eigenvalues": pairs.values.numpy(),
            "residuals": pairs.residuals.numpy(),
            "hessian_converged": np.array(pairs.converged),
            "hessian_products": np.array(pairs.products),
            "_vectors": _vectors(pairs),
        }

    def ggn(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        """Its leading space is near that of the Hessian, which is where it starts."""
        U = found["hessian"]["_vectors"]
        pairs = self._pairs("ggn", self.G, U.sum(1), progress)
        W = _vectors(pairs)
        return {
            "ggn_eigenvalues": pairs.values.numpy(),
            "ggn_residuals": pairs.residuals.numpy(),
            "ggn_converged": np.array(pairs.converged),
            "ggn_products": np.array(pairs.products),
            "ggn_overlap": np.square(W.T.astype(np.float64) @ U).sum(0),
            "_vectors": W,
        }

    def residual(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        """Both ends of the spectrum of H - G."""
        from landscape.core.linalg.eigenpairs import eigenpairs

        ends = eigenpairs(self.H - self.G, 2, "BE", tol=NORM_TOL, seed=self.params.seed, search=False)
        return {
            "residual_max": ends.values[0].numpy(),
            "residual_min": ends.values[-1].numpy(),
            "residual_norm": ends.values.abs().max().numpy(),
            "residual_norm_error": ends.residuals.max().numpy(),
        }

    def split(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        """Traces and norms of both parts, in total and by layer; quotients of the eigenvectors."""
        import torch

        from landscape.core.linalg.decomposition import split

        names, sizes = _layers(self.problem, self.params.by)
        both = split(
            self.H,
            self.G,
            torch.from_numpy(found["hessian"]["_vectors"]),
            sizes=sizes,
            samples=self.params.samples,
            seed=self.params.seed,
            on_progress=progress,
        )
        data: dict[str, Any] = {
            "layer": np.array(names),
            "layer_size": np.array(sizes),
            "ggn_quotient": both.quotients.numpy(),
            "residual_quotient": found["hessian"]["eigenvalues"] - both.quotients.numpy(),
        }
        for prefix, estimate in (("", both.whole), ("ggn_", both.part), ("residual_", both.rest)):
            data |= {
                f"{prefix}{name}": np.array(getattr(estimate, name))
                for name in ("trace", "trace_se", "frobenius", "frobenius_se")
            }
            data[f"{prefix}layer_trace"] = estimate.blocks.numpy()
            data[f"{prefix}layer_trace_se"] = estimate.blocks_se.numpy()
        return data

    def dimension(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        """Of the data's part of the Gauss-Newton matrix: weight decay plays the role of α."""
        import torch

        from landscape.core.linalg.effective_dimension import effective_dimension

        ggn, decay = found["ggn"], self.problem.weight_decay
        result = effective_dimension(
            self.G.shift(-decay),
            torch.from_numpy(ggn["ggn_eigenvalues"] - decay),
            torch.from_numpy(ggn["_vectors"]),
            self.params.alphas,
            probes=self.params.probes,
            steps=self.params.steps,
            seed=self.params.seed,
            on_progress=progress,
        )
        return {
            "alpha": result.alphas,
            "effective_dimension": (result.lower + result.upper) / 2,
            "effective_dimension_se": result.error,
            "effective_dimension_low": result.lower,
            "effective_dimension_high": result.upper,
        }

    def sharpness(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        from landscape.core.curvature.adaptive_sharpness import adaptive_sharpness, parameter_scales
        from landscape.core.linalg.eigenpairs import eigenpairs

        scales = parameter_scales(self.problem, self.params.eta)
        adaptive = eigenpairs(self.H.rescale(scales), 1, "LA", tol=NORM_TOL, seed=self.params.seed)
        result = adaptive_sharpness(
            self.problem,
            self.params.radii,
            steps=self.params.ascent_steps,
            eta=self.params.eta,
            on_progress=progress,
        )
        return {
            "radius": result.radii,
            "sharpness": result.ascent,
            "sharpness_first_order": result.first_order,
            "adaptive_curvature": adaptive.values[0].numpy(),
            "adaptive_curvature_error": adaptive.residuals[0].numpy(),
        }

    def _pairs(
        self, name: str, A: SymmetricOperator, start: Any, progress: Callable[[float], None]
    ) -> Eigenpairs:
        import torch

        params = self.params
        return resumed_eigenpairs(
            A,
            params.k,
            self.ledger,
            f"lanczos-{name}",
            tol=params.tol,
            max_products=params.max_products,
            seed=params.seed,
            start=None if start is None else torch.from_numpy(start),
            vectors=True,
            on_progress=lambda p: progress(0.9 if p.checking else 0.8 * p.converged / params.k),
        )


def _vectors(pairs: Eigenpairs) -> Any:
    assert pairs.vectors is not None
    return pairs.vectors.cpu().numpy()


def _layers(problem: Problem, by: str) -> tuple[list[str], list[int]]:
    """Names and sizes of the layers, in the order of θ: parameters of one layer stand together."""
    names = [n if by == "parameter" else n.rpartition(".")[0] for n in problem.space.names]
    first = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    ends = pairwise([*first, len(names)])
    return [names[i] or "(model)" for i in first], [sum(problem.space.sizes[a:b]) for a, b in ends]


def _outliers(data: Mapping[str, Any], weight_decay: float) -> dict[str, Any]:
    """Eigenvalues above the gap, and above what the residual alone could give."""
    from landscape.core.linalg.decomposition import count_outliers

    values = data["eigenvalues"] - weight_decay
    positive = np.flatnonzero(values > 0)
    found = count_outliers(values[positive])
    scores = np.full(len(values), np.nan)
    scores[positive[: len(found.scores)]] = found.scores
    return {
        "outliers": found.count,
        "outlier_gap": found.gap,
        "outlier_p_value": found.p_value,
        "gap_score": scores,
        "above_residual": int((values > float(data["residual_norm"])).sum()),
    }


def _shares(problem: Problem, params: StructureParams, found: Mapping[str, Piece]) -> dict[str, Any]:
    """The gradient in the leading space; gradient and eigenvectors by layer."""
    import torch

    from landscape.core.linalg.decomposition import block_shares

    _, sizes = _layers(problem, params.by)
    U = torch.from_numpy(found["hessian"]["_vectors"]).double()
    gradient = problem.gradient().cpu().double()
    overlaps = gradient @ U
    return {
        "gradient_norm": float(gradient.norm()),
        "gradient_overlap": overlaps.numpy(),
        "gradient_share": (overlaps.square() / gradient.square().sum()).numpy(),
        "layer_share": block_shares(U, sizes).numpy(),
        "gradient_layer_share": block_shares(gradient, sizes).numpy(),
    }


def _classes(problem: Problem) -> dict[str, int]:
    """The number of classes, of a classification."""
    if problem.loss_name != "cross_entropy":
        return {}
    output, _ = problem.output(problem.first)
    return {"classes": int(output.shape[1])}


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How much of the gradient is in the leading space, outliers, the residual, flatness."""
    unit = loss_unit({"": ds})
    k = ds.sizes["eigenpair"]
    classes = f"; {int(ds['classes'])} classes" if "classes" in ds else ""
    middle = ds.sizes["radius"] // 2
    return [
        Metric("gradient in top k", float(ds["gradient_share"].sum()), "1", f"share of ‖∇L‖², k = {k}"),
        Metric(
            "outliers",
            int(ds["outliers"]),
            "1",
            f"eigenvalues above a significant gap, p = {float(ds['outlier_p_value']):.2g}{classes}",
        ),
        Metric("‖H − G‖", float(ds["residual_norm"]), unit, "spectral norm of Hessian − Gauss-Newton"),
        Metric(
            "sharpness",
            float(ds["sharpness"][middle]),
            unit,
            f"rise of the loss within a relative change of {float(ds['radius'][middle]):g}",
        ),
    ]


def _cost(params: StructureParams) -> Cost:
    """Products with H cost about 2.5 gradients, with G about 1.7."""
    pairs, ends = 10 + 3.0 * params.k, 30
    hessian = pairs + ends + params.samples + params.k + 20
    ggn = pairs + ends + params.samples + params.k + params.probes * params.steps
    rises = len(params.radii) * (params.ascent_steps + 1)
    return Cost(forwards=1.0 + rises, gradients=2.5 * hessian + 1.7 * ggn + rises)


structure = Analysis(
    name="structure",
    title="Structure of the Hessian",
    description=(
        "The leading eigenpairs of the Hessian H of the mean loss with weight decay, and what they are made"
        " of. Gradient: its share in the span of the eigenvectors (Gur-Ari, Roberts & Dyer 2018). Split"
        " H = G + R into the generalised Gauss-Newton matrix and the residual of second derivatives of the"
        " outputs (Sagun et al. 2017; Papyan 2019): quotients uᵀGu and uᵀRu of each eigenvector, traces,"
        " Frobenius norms, and both ends of the spectrum of R. Outliers: eigenvalues above a gap too wide for"
        " a spectrum that falls like a power law (`landscape.core.linalg.decomposition.count_outliers`), to be compared"
        " with the number of classes; and eigenvalues larger than ‖R‖. Layers: shares of each eigenvector and"
        " of the gradient, traces. Effective dimension Σ λ/(λ + α) over the eigenvalues λ of G without weight"
        " decay (MacKay 1992), with bounds of the quadrature's error. Adaptive sharpness: the largest rise of"
        " the loss within ‖ε/(|θ| + η)‖ ≤ ρ (Kwon et al. 2021), found by gradient ascent, and the largest"
        " eigenvalue of THT, T = diag(|θ| + η). G and the effective dimension need a model that returns one"
        " tensor and a loss convex in it."
    ),
    scope="checkpoint",
    params=StructureParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=_cost,
)

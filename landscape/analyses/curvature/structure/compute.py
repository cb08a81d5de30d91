"""What ``structure`` computes, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses.curvature._layers import layers_of
from landscape.analyses.curvature._operator import finite_loss
from landscape.analyses.curvature._resume import resumed_eigenpairs
from landscape.analyses.curvature._unresolved import unresolved
from landscape.analyses.curvature.structure.options import StructureParams
from landscape.base.analysis import Context

if TYPE_CHECKING:
    from landscape.base.ledger import Ledger, Piece
    from landscape.core.linalg.eigenpairs import Eigenpairs
    from landscape.core.linalg.operators import SymmetricOperator
    from landscape.core.problem.problem import Problem

__all__ = ["compute"]

NORM_TOL = 0.01  # of a largest eigenvalue alone, whose error is about its square

SHARES = {"hessian": 0.35, "ggn": 0.2, "residual": 0.15, "split": 0.12, "dimension": 0.18}
"""About how much of the time each stage takes."""


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
            # Bound as defaults: the names themselves go on with the loop.
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
        "notice": ". ".join(filter(None, (str(p["_notice"][0]) for p in found.values() if "_notice" in p))),
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
            "_notice": self._notice(pairs, "LM", "eigenvalues of H"),
            "_vectors": _vectors(pairs),
        }

    def ggn(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        """Its leading space is near that of the Hessian, which is where it starts."""
        import torch

        from landscape.core.linalg.reductions import exact_products

        U = found["hessian"]["_vectors"]
        pairs = self._pairs("ggn", self.G, U.sum(1), progress)
        W = _vectors(pairs)
        return {
            "ggn_eigenvalues": pairs.values.numpy(),
            "ggn_residuals": pairs.residuals.numpy(),
            "ggn_converged": np.array(pairs.converged),
            "ggn_products": np.array(pairs.products),
            "_notice": self._notice(pairs, "LM", "eigenvalues of G"),
            "ggn_overlap": exact_products(*(torch.from_numpy(V).T for V in (W, U))).square().sum(0).numpy(),
            "_vectors": W,
        }

    def residual(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        """Both ends of the spectrum of H - G."""
        from landscape.core.linalg.eigenpairs import eigenpairs

        # Without a search: only the values at the ends are asked for, and a missed copy has the same one.
        ends = eigenpairs(self.H - self.G, 2, "BE", tol=NORM_TOL, seed=self.params.seed, search=False)
        return {
            "residual_max": ends.values[0].numpy(),
            "residual_min": ends.values[-1].numpy(),
            "residual_norm": ends.values.abs().max().numpy(),
            "residual_norm_error": ends.residuals.max().numpy(),
            "_notice": self._notice(ends, "BE", "ends of the spectrum of H − G"),
        }

    def split(self, found: Mapping[str, Piece], progress: Callable[[float], None]) -> Piece:
        """Traces and norms of both parts, in total and by layer; quotients of the eigenvectors."""
        import torch

        from landscape.core.linalg.decomposition import split

        names, sizes = layers_of(self.problem, self.params.by)
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

    def _notice(self, found: Eigenpairs, which: str, what: str) -> Any:
        return np.array([unresolved(found, which, self.problem.dtype.itemsize == 8, what)])

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


def _outliers(data: Mapping[str, Any], weight_decay: float) -> dict[str, Any]:
    """Eigenvalues above the gap, and above what the residual alone could give."""
    from landscape.core.linalg.decomposition import count_outliers

    # Gaps are ratios of eigenvalues: weight decay, which adds λ to each, would close them.
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
    from landscape.core.linalg.reductions import exact_products, length, sum_of_squares

    _, sizes = layers_of(problem, params.by)
    U = torch.from_numpy(found["hessian"]["_vectors"])
    gradient = problem.gradient().cpu()
    overlaps = exact_products(gradient[None], U.T)[0]
    return {
        "gradient_norm": length(gradient),
        "gradient_overlap": overlaps.numpy(),
        "gradient_share": (overlaps.square() / sum_of_squares(gradient)).numpy(),
        "layer_share": block_shares(U, sizes).numpy(),
        "gradient_layer_share": block_shares(gradient, sizes).numpy(),
    }


def _classes(problem: Problem) -> dict[str, int]:
    """The number of classes, of a classification."""
    from landscape.core.problem.losses import CROSS_ENTROPIES

    if problem.loss_name not in CROSS_ENTROPIES:
        return {}
    output, _ = problem.output(problem.first)
    return {"classes": int(output.shape[problem.reading.axis or 1])}

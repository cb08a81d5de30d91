"""The evidence curve of a problem: of all of θ by products with its Gauss-Newton matrix."""

from __future__ import annotations

from collections.abc import Callable

import torch

from landscape.core.curvature.operator import ggn
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.psd_quadrature import PsdQuadrature, psd_quadrature
from landscape.core.linalg.reductions import sum_of_squares
from landscape.core.posterior.evidence import EvidenceCurve
from landscape.core.posterior.likelihood import Likelihood
from landscape.core.posterior.sums import summed_block
from landscape.core.problem.problem import Problem

__all__ = ["evidence_curve", "summed_curvature"]

SMALL = 2_000
"""Parameters up to which all eigenvalues are taken: a second or so."""


def summed_curvature(problem: Problem, likelihood: Likelihood) -> SymmetricOperator:
    """The summed Gauss-Newton matrix Σ JᵀΛJ of −ln p(D | θ) as an operator, weight decay left out."""
    return likelihood.scale * ggn(problem).shift(-problem.weight_decay)


def evidence_curve(
    problem: Problem,
    likelihood: Likelihood,
    *,
    k: int = 20,
    probes: int = 4,
    steps: int = 30,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> EvidenceCurve:
    """The Laplace evidence of a model whose chosen parameters are all free.

    Up to 2,000 parameters all eigenvalues count exactly. Beyond, the k largest do and the others are met by
    random probes.

    Args:
        problem: The problem.
        likelihood: Its likelihood.
        k: Largest eigenvalues that count exactly.
        probes: Random probes of the rest.
        steps: Lanczos steps of each.
        seed: Of starting vectors and probes.
        on_progress: Called with the finished fraction.
    """
    fit = likelihood.log_likelihood(problem.measure().data_loss)
    norm = sum_of_squares(problem.theta)
    if problem.size <= SMALL:
        values = torch.linalg.eigvalsh(summed_block(problem, likelihood))
        return EvidenceCurve(fit, norm, problem.size, PsdQuadrature.exact(values.numpy()))
    A = summed_curvature(problem, likelihood)
    pairs = eigenpairs(
        A,
        k,
        "LA",
        tol=1e-3,
        seed=seed,
        vectors=True,
        on_progress=lambda p: on_progress(0.5 * p.converged / k),
    )
    assert pairs.vectors is not None
    spectrum = psd_quadrature(
        A,
        pairs.values,
        pairs.vectors,
        probes=probes,
        steps=steps,
        seed=seed,
        on_progress=lambda fraction: on_progress(0.5 + 0.5 * fraction),
    )
    return EvidenceCurve(fit, norm, problem.size, spectrum)

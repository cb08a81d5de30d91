"""Power-law tails of eigenvalues: the fields of a result, and what is made of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from landscape.base.schema import Variable
from landscape.core.stats.power_law import fit_power_law

__all__ = ["ENOUGH", "LEAST_P", "VERDICTS", "Resamples", "tail_of", "tail_variables", "tail_verdict"]

ENOUGH = 50
"""Values from which on a tail can be told from others (Clauset et al. 2009, section 4.2)."""

LEAST_P = 0.1
"""A power law with a smaller p-value is rejected (the same, section 4.1)."""

VERDICTS = {"power law": "circle", "few values": "triangle", "rejected": "cross"}
"""What is made of a tail, and the point it is drawn as."""

Resamples = Annotated[
    int,
    Field(ge=0, description="samples from each fitted tail, for its p-value and error; 0 for neither"),
]

_FIELDS: dict[str, tuple[str, Literal["float", "int"]]] = {
    "alpha": ("exponent α of the tail of {of}; nothing without its p-value and count", "float"),
    "alpha_se": ("standard error of alpha, the start of the tail chosen anew in each resample", "float"),
    "alpha_start": ("eigenvalue from which on the tail is fitted", "float"),
    "alpha_count": ("number of eigenvalues in the tail", "int"),
    "alpha_distance": ("Kolmogorov-Smirnov distance of tail and fit", "float"),
    "alpha_p": ("p-value of the power law; small speaks against it", "float"),
    "log_normal_ratio": (
        "likelihood ratio against a log-normal tail, normalised; below 0 that is better",
        "float",
    ),
    "log_normal_p": ("p-value of no difference from the log-normal tail", "float"),
    "exponential_ratio": (
        "likelihood ratio against an exponential tail, normalised; above 0 it is worse",
        "float",
    ),
    "exponential_p": ("p-value of no difference from the exponential tail", "float"),
}


def tail_variables(of: str, dims: Sequence[str] = (), *, optional: bool = False) -> tuple[Variable, ...]:
    """The fields of a fit.

    Args:
        of: Whose tail it is.
        dims: Their dimensions.
        optional: Whether results may lack them.
    """
    found = [
        Variable(name, tuple(dims), meaning.format(of=of), kind=kind, optional=optional)
        for name, (meaning, kind) in _FIELDS.items()
    ]
    return (
        *found,
        Variable(
            "rank_exponent",
            tuple(dims),
            "s = 1/(α − 1), by which the eigenvalues of the tail fall with their rank",
            optional=True,
        ),
    )


def tail_verdict(dims: Sequence[str] = (), *, optional: bool = False) -> Variable:
    """The field that says what is made of a tail."""
    return Variable(
        "tail",
        tuple(dims),
        "power law; few values: under 50, no verdict; rejected: p below 0.1; none: no fit or no p-value",
        "",
        kind="str",
        optional=optional,
    )


def tail_of(values: Any, resamples: int, seed: int) -> dict[str, Any]:
    """The fit of a power law to the tail of some eigenvalues, and what is made of it.

    Of the k largest eigenvalues alone this is a fit to a tail that begins at the least of them or above: the
    order statistics above one of them are a sample of the law from there on, and where the tail begins
    further down is not known. Nodes of a quadrature are no sample, and have no such fit.

    Args:
        values: Eigenvalues; those that are not positive are left out.
        resamples: Samples from the fit.
        seed: Their seed.
    """
    fit = fit_power_law(values, resamples=resamples, seed=seed)
    if np.isnan(fit.p):
        verdict = "none"
    elif fit.p < LEAST_P:
        verdict = "rejected"
    else:
        verdict = "power law" if fit.count >= ENOUGH else "few values"
    return {
        "alpha": fit.alpha,
        "alpha_se": fit.alpha_se,
        "alpha_start": fit.start,
        "alpha_count": fit.count,
        "alpha_distance": fit.distance,
        "alpha_p": fit.p,
        "log_normal_ratio": fit.log_normal,
        "log_normal_p": fit.log_normal_p,
        "exponential_ratio": fit.exponential,
        "exponential_p": fit.exponential_p,
        "rank_exponent": 1.0 / (fit.alpha - 1.0),
        "tail": verdict,
    }

"""Eigenvalues that are small beside the largest one, and what would tell them from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from landscape.core.linalg.eigenpairs import Eigenpairs

__all__ = ["as_asked", "unresolved"]


def as_asked(found: Eigenpairs, which: str, double: bool) -> bool:
    """Whether eigenpairs are what was asked for.

    Those of largest magnitude are asked for relative to the largest, so that the tolerance says all. Of those
    at an end of the spectrum (LA, SA, BE) the largest |λ| may be another and far larger one: they have to be
    resolved too, or be as close to 0 as rounding of float64 lets anything be told.
    """
    if which == "LM":
        return found.converged
    from landscape.core.linalg.krylov import BREAKDOWN

    at_rounding = found.residuals <= BREAKDOWN * found.rounding
    return found.converged and bool((found.resolved | (at_rounding & double)).all())


def unresolved(found: Eigenpairs, which: str, double: bool, what: str = "eigenvalues") -> str:
    """A sentence, without its full stop, on eigenvalues whose residual is not small against themselves.

    Args:
        found: Eigenpairs.
        which: Which were asked for.
        double: Whether products are in float64.
        what: Their name in the sentence.

    Returns:
        What is not known and what would resolve it; empty if all is known. Zeros as exact as rounding allows
        are told of only where an end of the spectrum was asked for: a matrix of low rank has many.
    """
    from landscape.core.linalg.krylov import BREAKDOWN

    floor = BREAKDOWN * found.rounding
    loose = ~found.resolved
    zeros = loose & (found.residuals <= floor) & (found.values.abs() <= 10.0 * floor)
    open_ones = loose & ~zeros if which == "LM" else loose
    count = int(open_ones.sum())
    if not count:
        return ""
    errors = found.residuals.clamp_min(found.rounding)[open_ones]
    said = (
        f"{count} of {len(loose)} {what} are not resolved: their errors, up to {float(errors.max()):.2g}, are"
        f" not small against themselves beside the largest |λ| of {found.scale:.2g}"
    )
    if bool((found.residuals[open_ones] > floor).any()):
        # What the values are is not known yet, and so neither is which tolerance would do.
        least = floor / found.scale
        more = (
            f"a smaller tol (down to {least:.1g}) and more max_products resolve what lies above {floor:.1g}"
        )
        return f"{said}; {more}" + ("" if double else ", float64 what lies below")
    if double:
        return f"{said}; they are 0 as far as float64 tells, which nothing here can resolve further"
    return f"{said}, which rounding of float32 hides; float64 would resolve them"

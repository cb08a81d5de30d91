"""What a result of ``ntk`` holds."""

from __future__ import annotations

from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA", "UNIT"]

UNIT = "output²"
"""Of the kernel: squares of outputs per squared change of the parameters."""


def _number(name: str, meaning: str, unit: str = "1") -> tuple[Variable, ...]:
    return (
        Variable(name, (), meaning, unit),
        Variable(f"{name}_low", (), f"lower end of the 95 % interval of {name} over probes", unit),
        Variable(f"{name}_high", (), "upper end", unit),
    )


SCHEMA = Schema(
    version=1,
    coords=(Variable("eigenpair", ("eigenpair",), "rank by falling eigenvalue", "", kind="int"),),
    variables=(
        Variable("eigenvalues", ("eigenpair",), "eigenvalue of the kernel Θ = JJᵀ", UNIT),
        Variable("residuals", ("eigenpair",), "residual norm, a bound on its error", UNIT),
        Variable(
            "label_share",
            ("eigenpair",),
            "share of the centred targets ‖y‖² along the kernel's eigenvector; NaN without targets",
        ),
        *_number("trace", "trace of Θ, the sum of all eigenvalues", UNIT),
        *_number("frobenius", "Frobenius norm of Θ", UNIT),
        *_number("effective_rank", "effective rank exp H(λ/Σλ) of Θ"),
        *_number("participation", "participation ratio (tr Θ)²/‖Θ‖²_F, another effective rank"),
        *_number("alignment", "alignment yᵀΘy/(‖Θ‖_F ‖y‖²) with the centred targets y"),
        Variable("rank_limit", (), "the smaller of N·C and P, which no rank exceeds", kind="int"),
        Variable("exact", (), "whether all eigenvalues are known", "", "bool"),
        Variable("converged", (), "whether the eigenpairs are within tolerance", "", "bool"),
        Variable("complete", (), "whether no eigenvalue was missed among the leading ones", "", "bool"),
        Variable("products", (), "products with JᵀJ, each a pass over the data", kind="int"),
        Variable("notice", (), "what is not known, and why", "", kind="str", optional=True),
    ),
)

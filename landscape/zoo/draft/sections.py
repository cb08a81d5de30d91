"""The analyses of a first run: those that suit a zoo, the cheap ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from landscape.zoo.spec import SectionSpec, ZooSpec

__all__ = ["QUICK", "first_sections", "is_first_run"]

QUICK = ("calibration", "weights", "diversity", "cka")
"""Those of a pass or two: a report is made of them before the others begin."""


def first_sections(spec: ZooSpec) -> list[SectionSpec]:
    """Analyses to begin with, in the order in which they are run.

    Predictions and weights take one pass each, and the report is of use once these are there; the landscape
    itself, lines and eigenvalues, comes after them and on fewer examples.

    Args:
        spec: The zoo: its groups decide whether anything is compared.
    """
    return list(_sections(spec))


def _sections(spec: ZooSpec) -> Iterator[SectionSpec]:
    classes = spec.problem.loss == "cross_entropy"
    sizes = Counter(m.group for m in spec.models)
    several = max(sizes.values(), default=0) > 1
    if classes:
        yield SectionSpec("calibration", "calibration")
    yield SectionSpec("weights", "weights")
    if several and classes:
        yield SectionSpec("diversity", "diversity")
    if len(spec.models) > 1:
        yield SectionSpec("cka", "cka", examples=128, together=len(sizes) > 1)
    yield SectionSpec("line", "line", examples=128)
    if several:
        yield SectionSpec("connectivity", "connectivity", examples=128)
    yield SectionSpec("spectrum", "spectrum", {"k": 3}, examples=128)


def is_first_run(spec: ZooSpec) -> bool:
    """Whether the analyses of a zoo are those of a first run, as a directory gets them."""
    return spec.store is not None and spec.sections == tuple(first_sections(spec))

"""Choice of figures by name: of all models together, or of one model by its own name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from landscape.base.figure import FigureSpec
from landscape.errors import InputError, suggest
from landscape.plotting.gathering import owner

__all__ = ["choose_figures", "figure_names"]

_NUMBERED = re.compile(r"(.+?)[-_]\d+(?:[-_]\d+)*")


def figure_names(specs: Sequence[FigureSpec], labels: Iterable[str]) -> list[str]:
    """Names that tell figures of single models by the model: ``loss-resnet-s0`` for ``loss-1``.

    Args:
        specs: Figures of one analysis.
        labels: The models, pairs or groups that they are of.

    Returns:
        A name for each figure; its own where it is of no single model.
    """
    known = set(labels)
    names = []
    for spec in specs:
        numbered = _NUMBERED.fullmatch(spec.name)
        of = owner(spec.title, known)
        names.append(f"{numbered[1]}-{of}" if numbered and of else spec.name)
    # two figures of one model may begin alike: then their numbers tell them apart
    count = Counter(names)
    return [n if count[n] == 1 else s.name for n, s in zip(names, specs, strict=True)]


def choose_figures(
    specs: Sequence[FigureSpec], wanted: str, labels: Iterable[str], where: str = "there is"
) -> list[FigureSpec]:
    """The figures of a name.

    Args:
        specs: Figures of one analysis.
        wanted: A figure's name; with its model's in place of its number (``loss-resnet-s0``); a model's name,
            for all that is of it alone; or the beginning that the figures of all models share (``loss``).
        labels: The models, pairs or groups that they are of.
        where: Beginning of the error message.

    Raises:
        InputError: If there is none, with the nearest name.
    """
    labels = list(labels)
    leading = {id(spec) for spec in specs}  # their others are many, and are meant by their own names alone
    specs = [one for spec in specs for one in (spec, *spec.others)]
    names = figure_names(specs, labels)
    rules: tuple[Callable[[FigureSpec, str], bool], ...] = (
        lambda spec, name: spec.name == wanted,
        lambda spec, name: name == wanted,
        lambda spec, name: id(spec) in leading and wanted in labels and spec.title.endswith(f": {wanted}"),
        lambda spec, name: id(spec) in leading and name != spec.name and name.startswith(f"{wanted}-"),
    )
    for fits in rules:
        chosen = [spec for spec, name in zip(specs, names, strict=True) if fits(spec, name)]
        if chosen:
            return chosen
    raise InputError(f"{where} no figure '{wanted}'; {suggest(wanted, names)}")

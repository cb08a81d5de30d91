"""Averages of the seeds of a study: ensembles and other predictives of the models of a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from landscape.reference.training.recipe import address
from landscape.studies.data import Data
from landscape.studies.training import Trained
from landscape.zoo.spec import Builder, PredictiveSpec

__all__ = ["Average"]


@dataclass(frozen=True)
class Average:
    """What predicts from models of a kind, one per seed: findings and figures take it for a kind.

    Attributes:
        name: What findings and figures call it.
        kind: The kind of models that it is made of.
        builder: ``(members, **kwargs) -> module``, such as
            `landscape.reference.uncertainty.DeepEnsemble`.
        kwargs: Its arguments.
        fit: The data that the builder fits on, ``train`` or the name of others, see
            `landscape.studies.data.Data.builder`; none if it needs none.
        each: Whether there is one for every model, as of a temperature, and not one of all together.
        kept: Whether the builder keeps what it has fitted in a folder, which it takes as ``folder``: one
            beside the weights, so that a run that goes on, or measures more, need not fit again.
    """

    name: str
    kind: str
    builder: Callable[..., nn.Module]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    fit: str = ""
    each: bool = False
    kept: bool = False

    def specs(self, models: Sequence[Trained], data: Data) -> tuple[PredictiveSpec, ...]:
        """It as a zoo knows it, made of those of the models that are of its kind; or those of each.

        Args:
            models: The models of a cohort.
            data: Its examples.
        """
        members = [m for m in models if m.recipe.group == self.kind]
        folder = {"folder": str(members[0].path.parent / "posteriors")} if self.kept else {}
        builder = Builder(address(self.builder), {**self.kwargs, **folder})
        fit = data.builder(self.fit) if self.fit else None
        parts: list[tuple[str, tuple[str, ...]]] = [(self.name, tuple(m.name for m in members))]
        if self.each:
            parts = [(self.member(m), (m.name,)) for m in members]
        tags = {"kind": self.name}
        return tuple(PredictiveSpec(name, builder, of, fit, group=self.name, tags=tags) for name, of in parts)

    def member(self, model: Trained) -> str:
        """Its name where it is made of this model alone."""
        return f"{self.name}-s{model.seed}"

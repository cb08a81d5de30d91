"""Averages of the seeds of a study: ensembles and other predictives of all models of a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from landscape.reference.training.recipe import address
from landscape.studies.training import Trained
from landscape.zoo.spec import Builder, PredictiveSpec

__all__ = ["Average"]


@dataclass(frozen=True)
class Average:
    """What predicts from all models of a kind, one per seed: findings and figures take it for a kind.

    Attributes:
        name: What findings and figures call it.
        kind: The kind of models that it is made of.
        builder: ``(members, **kwargs) -> module``, such as
            `landscape.reference.uncertainty.DeepEnsemble`.
        kwargs: Its arguments.
    """

    name: str
    kind: str
    builder: Callable[..., nn.Module]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def spec(self, models: Sequence[Trained]) -> PredictiveSpec:
        """It as a zoo knows it, made of those of the models that are of its kind."""
        members = tuple(m.name for m in models if m.recipe.group == self.kind)
        builder = Builder(address(self.builder), dict(self.kwargs))
        return PredictiveSpec(self.name, builder, members, group=self.name, tags={"kind": self.name})

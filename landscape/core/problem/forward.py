"""How a model is run on a batch: by its own signature, or by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from landscape.core.data.batches import Batch
from landscape.core.problem.criterion import Criterion
from landscape.core.problem.leftovers import forget
from landscape.core.problem.private_model import Substituted
from landscape.errors import InputError

__all__ = ["Call", "Forward", "natural"]

Call = Callable[[Any, Any], Any]
"""``(model, inputs) -> output``."""


def natural(model: Any, inputs: Any) -> Any:
    """The model's own call: mappings as keywords, tuples as positions."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


class Forward:
    """The way from a model and a batch to an output and a target.

    Args:
        function: ``(model, batch) -> output`` or ``(output, target)``; ``None`` for the model's own call,
            which is given mappings as keywords and tuples as positions.

    Attributes:
        function: The same.
        takes_batch: Whether it is called with the whole batch; else with the batch's inputs.
        call: How the model is called where there is no function.
        logits_alone: Whether the loss takes one tensor, so that of a mapping the entry ``logits`` is meant.
        first_alone: Whether of a tuple its first tensor is, as of models of tokens.
    """

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self.function = function
        self.takes_batch = True
        self.call: Call = natural
        self.logits_alone = False
        self.first_alone = False

    def read_logits(self, loss: Criterion) -> None:
        """Take the logits alone of what the model returns, where the loss is one that takes one tensor."""
        self.logits_alone, self.first_alone = loss.takes_tensor, loss.by_token

    def __call__(self, model: Any, batch: Batch) -> tuple[Any, Any]:
        """The model's output and the target.

        Raises:
            InputError: If BatchNorm would take statistics of one example.
        """
        try:
            return self._run(model, batch)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                f"BatchNorm cannot take statistics of a batch of {batch.size}: choose batch_size= so that"
                " no batch of one example is left over, drop the last batch, or take"
                " batchnorm='checkpoint'."
            ) from error

    def _run(self, model: Any, batch: Batch) -> tuple[Any, Any]:
        forget(model.substituted if isinstance(model, Substituted) else model)
        if self.function is not None:
            result = self.function(model, batch.raw if self.takes_batch else batch.inputs)
            if isinstance(result, tuple) and len(result) == 2 and self.takes_batch:
                return result
        else:
            result = self.call(model, batch.inputs)
        return self._logits(result), batch.target

    def _logits(self, result: Any) -> Any:
        """The logits of what a model returns, where it says which they are."""
        if self.logits_alone:
            if isinstance(result, Mapping) and "logits" in result:
                return result["logits"]
            if self.first_alone and isinstance(result, tuple) and result and torch.is_tensor(result[0]):
                return result[0]
        return getattr(result, "logits", result)

    def calls(self, batches: list[Batch]) -> tuple[list[Any], Callable[[nn.Module, Any], Any] | None]:
        """What the model is called with, by batch, and how, if it has a function of its own."""
        function = self.function
        if function is None or not self.takes_batch:
            own = None if self.call is natural else self.call
            return [batch.inputs for batch in batches], own if function is None else function

        def call(model: nn.Module, raw: Any) -> Any:
            result = function(model, raw)
            return result[0] if isinstance(result, tuple) and len(result) == 2 else result

        return [batch.raw for batch in batches], call

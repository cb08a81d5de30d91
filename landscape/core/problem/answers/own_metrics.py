"""Own metrics: functions of the user's, of outputs and targets, measured beside the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.stats.intervals import standard_error
from landscape.errors import InputError, reason

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["OwnMetric", "OwnMetrics"]

Array = NDArray[np.float64]

OwnMetric = Callable[[Any, Any], Any]
"""``(output, target) -> values (B,)``, one for each example, as a loss of the user's is."""


class OwnMetrics:
    """Values of metrics of all examples of a pass, gathered batch by batch.

    Args:
        functions: The metrics by name.
    """

    def __init__(self, functions: Mapping[str, OwnMetric]) -> None:
        self._functions = functions
        self._parts: dict[str, list[Tensor]] = {name: [] for name in functions}

    @contextmanager
    def watching(self, problem: Problem) -> Iterator[None]:
        """Within it, what the problem measures is measured by the metrics as well."""
        problem.watch = self.watch
        try:
            yield
        finally:
            problem.watch = None

    def watch(self, output: Any, target: Any, size: int) -> None:
        """Measure a batch of so many examples.

        Raises:
            InputError: If a metric raises, or does not give one number for each example.
        """
        for name, function in self._functions.items():
            try:
                values = torch.as_tensor(function(output, target)).detach()
            except Exception as error:  # a user's function fails in any way
                raise InputError(f"metric '{name}' raised {reason(error)}") from error
            if values.shape != (size,):
                raise InputError(
                    f"metric '{name}' returned shape {tuple(values.shape)} for {size} examples; return one"
                    " number per example, shape (B,)."
                )
            self._parts[name].append(values.double().cpu())

    def by_example(self) -> Array:
        """The values of each example (metrics, N)."""
        return np.stack([torch.cat(parts).numpy() for parts in self._parts.values()])

    def named(self, *, per_example: bool = False) -> dict[str, Any]:
        """``metric_value`` and ``metric_se`` (metrics,), and if asked for ``metric_examples``."""
        values = self.by_example()
        found: dict[str, Any] = {"metric_value": values.mean(1), "metric_se": standard_error(values)}
        return found | ({"metric_examples": values} if per_example else {})

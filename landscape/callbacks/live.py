"""A model in memory in the place of a checkpoint: the tasks of a zoo's runner, made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from landscape.base.analysis import Analysis, Params
from landscape.callbacks.at_rest import at_rest, own_module
from landscape.core.problem.fingerprint import fingerprint
from landscape.core.problem.problem import Problem
from landscape.store import Store, task_key
from landscape.zoo.loader import Loader, seeded
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import Builder, Model
from landscape.zoo.task import Setup, Task

if TYPE_CHECKING:
    from landscape.core.data.batches import Batch

__all__ = ["Chosen", "LiveLoader", "tasks_of"]


class Chosen(NamedTuple):
    """An analysis to run: what the user calls it, itself, and its options."""

    reference: str
    analysis: Analysis
    params: Params


class LiveLoader(Loader):
    """Gives a runner the problem of a model that is being trained, on data that are read already.

    Args:
        store: Where results go.
        loss: What `landscape.Problem` takes.
        batches: The examples.
        options: Keyword arguments of `landscape.Problem`.

    Attributes:
        content: Hash of the examples.
        facts: What else of the problem enters the keys of tasks.
    """

    def __init__(self, store: Store, loss: Any, batches: list[Batch], options: Mapping[str, Any]) -> None:
        raw, self.content = self._hashed(batches)
        super().__init__(
            Setup(Path.cwd(), Builder("live"), ProblemOptions(), store.directory, fingerprint=self.content)
        )
        self._raw, self._loss, self._options = raw, loss, dict(options)
        self._module: nn.Module | None = None
        self._made: Problem | None = None
        self.facts = {"loss": _named(loss), **{name: _named(value) for name, value in options.items()}}

    def data(self, model: Model | None = None) -> tuple[list[Any], str]:
        """The examples as a problem takes them, and their content hash."""
        return self._raw, self.content

    def show(self, module: nn.Module | None) -> None:
        """Take the model as it is now, until the next one or ``None`` is shown."""
        self._module, self._made = module, None

    def problem(self, model: Model) -> Problem:
        """The problem of the model that is shown: of a copy, made when it is first asked for.

        Raises:
            LandscapeError: If model, loss and data do not fit together.
        """
        if self._made is None:
            if self._module is None:
                raise RuntimeError("no model is shown")
            module = own_module(self._module)
            with seeded(), at_rest(module):
                self._made = Problem(module, self._loss, self._raw, **self._options)
        return self._made

    def forget(self) -> None:
        """Drop the copy: a failure may have left it in any state."""
        self._made = None


def tasks_of(model: Model, module: Any, loader: LiveLoader, sections: Mapping[str, Chosen]) -> list[Task]:
    """One task for each section, whose key says what weights the model has now.

    Raises:
        InputError: If it is no module, or not a whole one.
    """
    weights = fingerprint(_tensors(own_module(module)))
    facts = {"live": weights, "data": loader.content, "problem": loader.facts}
    tasks = []
    for label, (reference, analysis, params) in sections.items():
        options = params.model_dump_json()
        task = Task(
            key=task_key(analysis.name, analysis.schema.version, options, facts),
            label=label,
            analysis=reference,
            folder=analysis.name,
            options=options,
            scope=analysis.scope,
            subject=model.name,
            members=(model,),
            collects=analysis.collect is not None,
        )
        tasks.append(task)
    return tasks


def _tensors(module: nn.Module) -> Sequence[tuple[str, Tensor]]:
    """All parameters and buffers, those that checkpoints leave out too."""
    return [*module.named_parameters(), *module.named_buffers()]


def _named(value: Any) -> Any:
    """What of an option enters a key: itself, or the name of a function."""
    if isinstance(value, torch.device | torch.dtype):
        return str(value)
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    try:
        json.dumps(value)
    except TypeError:
        return type(value).__qualname__
    return value

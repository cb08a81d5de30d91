"""The same examples for several models: whether problems hold them, and they themselves, taken once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from landscape.core.data.batches import Batch, Examples, tensors_in
from landscape.core.data.shared_copies import same_bits
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["GroupExamples", "Pairing", "check_same_inputs"]

Pairing = Literal["inputs", "order"]
"""By what examples of several problems are paired."""


def check_same_inputs(problems: Mapping[str, Problem], pairing: Pairing = "inputs") -> None:
    """Raise unless all problems hold the same inputs in the same order, however cut into batches.

    Args:
        problems: The models, by name.
        pairing: ``order`` takes examples of one number for the same, whatever their inputs are, such as
            images of another size for each model; targets, if there are any of one shape, have to agree.

    Raises:
        InputError: Naming the two that differ, or an example that holds NaN.
    """
    (first, reference), *others = problems.items()
    _check_numbers(first, reference)
    others = [(name, problem) for name, problem in others if not _share_batches(reference, problem)]
    if pairing == "order":
        for name, problem in others:
            _check_numbers(name, problem)
            if not _same_order(reference, problem):
                raise InputError(
                    f"'{first}' ({reference.examples} examples) and '{name}' ({problem.examples}) differ in"
                    " the number of their examples or in their targets: paired by order, they have to hold"
                    " the same examples in the same order."
                )
        return
    for name, problem in others:
        if not _same_inputs(reference, problem):
            one, two = _shapes(reference), _shapes(problem)
            if one != two and reference.examples == problem.examples:
                raise InputError(
                    f"'{first}' takes inputs of shape {one} and '{name}' of shape {two}; models are compared"
                    " on one set of inputs: give all problems the same, and let a model that needs another"
                    " size resize them itself, as nn.Sequential(nn.Upsample(size), model) does; or say with"
                    " pairing='order' that they are the same examples in the same order."
                )
            raise InputError(
                f"'{first}' ({reference.examples} examples) and '{name}' ({problem.examples}) do not hold"
                " the same inputs in the same order; models are compared on one set of examples."
            )


class GroupExamples:
    """The examples of several problems; where these hold the same data, examples are taken once for all.

    Args:
        problems: The problems, with as many examples each.

    Raises:
        InputError: As `landscape.core.data.batches.gather` does.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._kinds: list[tuple[Problem, Examples]] = []
        self._kind: dict[int, int] = {}
        for problem in problems:
            known = next((i for i, (o, _) in enumerate(self._kinds) if _share_batches(o, problem)), None)
            if known is None:
                known = len(self._kinds)
                self._kinds.append((problem, Examples(problem.batches)))
            self._kind[id(problem)] = known

    def on(self, index: Tensor) -> Callable[[Problem], Batch]:
        """What gives the examples of these numbers (n,) as a problem holds them."""
        taken: dict[int, Batch] = {}

        def batch_for(problem: Problem) -> Batch:
            kind = self._kind[id(problem)]
            if kind not in taken:
                taken[kind] = self._kinds[kind][1].take(index)
            return taken[kind]

        return batch_for


def _share_batches(a: Problem, b: Problem) -> bool:
    """Whether the batches of two problems are the same, bit by bit, or the very same tensors."""
    pairs = zip(a.batches, b.batches, strict=False)
    return len(a.batches) == len(b.batches) and all(_same_tensors(one.raw, two.raw) for one, two in pairs)


def _same_tensors(a: Any, b: Any) -> bool:
    one, two = dict(tensors_in(a)), dict(tensors_in(b))
    return one.keys() == two.keys() and all(same_bits(tensor, two[key]) for key, tensor in one.items())


def _shapes(problem: Problem) -> str:
    """Shapes of the first example's inputs."""
    return ", ".join(str(tuple(t.shape[1:])) for _, t in tensors_in(problem.batches[0].inputs))


def _check_numbers(name: str, problem: Problem) -> None:
    """Raise if an input is NaN: every layer that it goes through would be NaN, and all similarities."""
    first = 0
    for batch in problem.batches:
        for _, tensor in tensors_in(batch.inputs):
            if not tensor.is_floating_point() or len(tensor) != batch.size:
                continue
            bad = tensor.isnan().flatten(1).any(1) if tensor.ndim > 1 else tensor.isnan()
            if bad.any():
                raise InputError(
                    f"example {first + int(bad.nonzero()[0])} of the data of '{name}' holds NaN, which would"
                    " make all similarities NaN; leave it out."
                )
        first += batch.size


def _same_order(a: Problem, b: Problem) -> bool:
    """Whether two problems have as many examples, and the same targets if these can be compared."""
    if a.examples != b.examples:
        return False
    targets = []
    for problem in (a, b):
        parts = [batch.target for batch in problem.batches]
        if not all(isinstance(t, Tensor) and t.ndim for t in parts):
            return True
        if len({t.shape[1:] for t in parts}) != 1:
            return True
        targets.append(torch.cat([t.cpu() for t in parts]))
    one, two = targets
    return one.shape != two.shape or bool((one == two).all())


def _same_inputs(a: Problem, b: Problem) -> bool:
    if a.examples != b.examples:
        return False
    parts: Iterable[tuple[Batch, Batch]] = zip(a.batches, b.batches, strict=False)
    if [p.size for p in a.batches] != [p.size for p in b.batches]:
        everything = torch.arange(a.examples)
        parts = [(Examples(a.batches).take(everything), Examples(b.batches).take(everything))]
    for one, two in parts:
        x, y = dict(tensors_in(one.inputs)), dict(tensors_in(two.inputs))
        if x.keys() != y.keys() or not all(torch.equal(t.cpu(), y[key].cpu()) for key, t in x.items()):
            return False
    return True

"""Inputs: how a model takes the first batch, where it does not take it as it is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from landscape.core.data.batches import TARGET_KEYS, Batch, tensors_in
from landscape.core.problem.door.conversions import Conversion, casts, convert, name_of
from landscape.core.problem.forward import Call, natural
from landscape.errors import InputError

if TYPE_CHECKING:
    import torch

    from landscape.core.problem.problem import Problem

__all__ = ["input_advice", "settle_inputs"]


def settle_inputs(problem: Problem, attempt: Callable[[], object]) -> None:
    """Find the one reading under which the model takes the inputs, if it does not take them as they are.

    What is found is entered in the problem. Whatever the model takes as it is stays as it is.

    Args:
        problem: One whose data is there.
        attempt: Runs the first batch.

    Raises:
        InputError: Where the inputs have two readings, or as ``attempt`` raises if there is none.
    """
    first = problem.first
    tensors = [t for _, t in tensors_in(first.inputs)]
    odd = [t for t in tensors if t.dtype != problem.dtype]
    keywords = isinstance(first.inputs, Mapping) and problem._forward.function is None
    if not odd and not keywords:
        return
    try:
        attempt()
        return
    except InputError as error:
        failure = error
    calls = list(_calls(problem.module, first)) if keywords else [(natural, "")]
    for (call, said), changes in product(calls, _changes(first, problem.dtype)):
        if call is natural and not changes:
            continue
        with _trial(problem, call, changes) as keep:
            try:
                attempt()
            except InputError:
                continue
            keep()
            if said:
                problem.conversions += (Conversion(said, _as_it_is),)
            return
    _ask_back(problem, first, attempt)
    raise failure


@contextmanager
def _trial(problem: Problem, call: Call, changes: Sequence[Conversion]) -> Iterator[Callable[[], None]]:
    """Within it, the problem reads its inputs in another way; afterwards as before, unless it is kept."""
    before = problem._all, problem.conversions, problem._forward.call
    kept: list[bool] = []
    problem._forward.call = call
    convert(problem, *changes)
    try:
        yield lambda: kept.append(True)
    finally:
        if not kept:
            batches, problem.conversions, problem._forward.call = before
            problem._take_share(batches)


def _calls(module: nn.Module, batch: Batch) -> Iterator[tuple[Call, str]]:
    """Ways to call a model with a mapping, and what to say of each."""
    yield natural, ""
    yield _whole, "mapping given to the model as its one argument"
    held = {key for key, value in batch.inputs.items() if next(tensors_in(value), None) is not None}
    spare = [str(key) for key in batch.inputs if key not in held]
    if held and spare:
        yield partial(_without, frozenset(spare)), f"entries left out: {', '.join(spare)}"
    if len(held) == 1 and len(_required(module)) <= 1:
        (key,) = held
        yield partial(_alone, key), f"'{key}' given to the model as its one argument"


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _whole(model: Any, inputs: Any) -> Any:
    return model(inputs)


def _without(spare: frozenset[str], model: Any, inputs: Any) -> Any:
    return model(**{key: value for key, value in inputs.items() if key not in spare})


def _alone(key: str, model: Any, inputs: Any) -> Any:
    return model(inputs[key])


def _required(module: nn.Module) -> list[str]:
    """The arguments that the model's forward cannot do without."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind in named]


def _changes(batch: Batch, dtype: torch.dtype) -> Iterator[list[Conversion]]:
    """Changes of type to try, the fewest first."""
    yield []
    floats = casts(batch, "inputs", dtype, _is_float, "inputs")
    bits = casts(batch, "inputs", dtype, _is_bool, "inputs")
    if floats:
        yield [floats]
    if bits:  # a mask stays one wherever that is what the model takes
        yield [*([floats] if floats else []), bits]


def _is_float(tensor: Tensor) -> bool:
    return tensor.is_floating_point()


def _is_bool(tensor: Tensor) -> bool:
    return name_of(tensor.dtype) == "bool"


def _is_whole(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex() and not _is_bool(tensor)


def _ask_back(problem: Problem, first: Batch, attempt: Callable[[], object]) -> None:
    """Raise if the model takes the inputs once whole numbers are floats: their scale is not known."""
    numbers = casts(first, "inputs", problem.dtype, _is_whole, "inputs")
    if numbers is None:
        return
    floats = casts(first, "inputs", problem.dtype, _is_float, "inputs")
    with _trial(problem, natural, [*([floats] if floats else []), numbers]):
        try:
            attempt()
        except InputError:
            return
    whole = next(t for _, t in tensors_in(first.inputs) if _is_whole(t))
    takes, name = name_of(problem.dtype), type(problem.module).__name__
    if whole.numel() and int(whole.min()) >= 0 and int(whole.max()) <= 255:
        raise InputError(
            f"the inputs are {name_of(whole.dtype)} of {int(whole.min())} to {int(whole.max())}, and {name}"
            f" takes {takes}: give what it was trained on, inputs.float() for values of 0 to 255 or"
            " inputs.float() / 255 for values of 0 to 1."
        )
    raise InputError(
        f"the inputs are {name_of(whole.dtype)}, and {name} takes {takes}: give inputs.float(), scaled as in"
        " training."
    )


def input_advice(module: nn.Module, batch: Batch, words: str) -> str:
    """What to do about inputs that a model cannot take; empty if what torch says is not understood.

    Args:
        module: The model.
        batch: The first batch.
        words: What torch said.
    """
    name = type(module).__name__
    if isinstance(batch.inputs, Mapping):
        keys = ", ".join(f"'{key}'" for key in batch.inputs)
        target = "" if batch.target is not None else f" (none is a target: {', '.join(TARGET_KEYS)})"
        return (
            f"the batches are mappings with {keys}{target}, and {name} takes"
            f" ({', '.join(_required(module)) or '...'}): name the entries as its arguments, or say how with"
            f" forward=, such as lambda model, batch: model(batch[{next(iter(batch.inputs), '...')!r}])."
        )
    sizes = re.search(r"mat1 and mat2 shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)", words)
    if sizes:
        return f"a layer takes {sizes[2]} features and is given {sizes[1]}: give inputs of its size."
    channels = re.search(r"expected input\[.*?\] to have (\d+) channels, but got (\d+) channels", words)
    if channels:
        return (
            f"a convolution takes {channels[1]} channels and is given {channels[2]}: give images"
            f" (B, {channels[1]}, H, W)."
        )
    missing = re.search(r"missing (\d+) required positional arguments?: (.*)$", words)
    if missing:
        return (
            f"its forward also takes {missing[2]}: give inputs as a tuple, ((a, b), targets), or say with"
            " forward= how it is called."
        )
    if re.search(r"takes (from )?\d+.* positional arguments? but \d+ (was|were) given", words):
        return (
            f"its forward takes ({', '.join(_required(module))}): give as many tensors as inputs, or say with"
            " forward=lambda model, batch: model(...) how it is called."
        )
    return ""

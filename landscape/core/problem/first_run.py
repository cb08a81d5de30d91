"""The first evaluations of a problem: do model, loss and data fit, and how are they to be read?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from landscape.core.data.batches import Batch, batches_joinable, rebatch, tensors_in
from landscape.core.data.example_count import recount
from landscape.core.data.subsample import sample
from landscape.core.problem.answers.classification import if_any
from landscape.core.problem.answers.outputs import read_outputs, settle_axis
from landscape.core.problem.checks import unwritten
from landscape.core.problem.criterion import cut, shaken
from landscape.core.problem.door.conversions import name_of
from landscape.core.problem.door.inputs import input_advice, settle_inputs
from landscape.core.problem.door.targets import loss_advice, retry_loss, settle_targets
from landscape.core.problem.door.tokens import ask_which_token, settle_tokens
from landscape.core.problem.losses import check_labels
from landscape.core.problem.measure import cut_off
from landscape.errors import InputError, reason

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["fit_scale", "settle"]

PROBED = 64  # examples on which a scalar loss shows whether it is a mean, a sum or neither


def settle(problem: Problem, *, count: bool) -> None:
    """Run the first batch: count examples, read outputs and losses, refuse what does not fit.

    What is found is entered in the problem: whether it needs a graph, how its outputs and answers are read,
    the scale of its loss.

    Args:
        problem: One whose data is there and whose loss is not read yet.
        count: Whether to count the examples anew, where no ``size`` says how many there are.

    Raises:
        InputError: If model, data and loss do not fit together; the sentence says where.
    """
    settle_inputs(
        problem, lambda: _with_graph_if_needed(problem, lambda: _first_output(problem, problem.first))
    )
    if count:
        _with_graph_if_needed(problem, partial(_recount, problem))
    _with_graph_if_needed(problem, partial(_try_first, problem))
    fit_scale(problem)
    if problem.reading.axis is None:  # outputs beside indices of classes are read already
        problem.classification = if_any(problem)


def _recount(problem: Problem) -> None:
    """Count the examples anew where the outputs show that leading axes misled."""
    if problem._forward.function is None and all(batch.counted for batch in problem._all):
        return  # targets come from the batches, and so does their number
    batches = recount(
        problem._all, problem.device, partial(_first_output, problem), problem.output, problem.criterion
    )
    if batches is not problem._all:
        problem._take_share(batches)


@torch.no_grad()
def fit_scale(problem: Problem) -> None:
    """Make the mean over the data that of torch on all of it, where examples weigh differently."""
    if problem.criterion.total_of_torch or problem.criterion.reduction == "sum":
        problem.criterion = problem.criterion.scaled(float(problem.examples))
        return
    if not problem.criterion.weighs:
        return
    total = torch.zeros(1, dtype=torch.float64)
    with problem.sharding.summing(total):
        for batch in problem.shard:
            # without a forward of the user's, targets are known without running the model
            given = (None, batch.target) if problem._forward.function is None else problem.output(batch)
            weights = problem.criterion.weights(*given)
            total += batch.size if weights is None else weights.sum().cpu()
    if not bool(total):
        raise InputError(f"the loss {problem.loss_name} leaves out every label of the data.")
    problem.criterion = problem.criterion.scaled(problem.examples / float(total))


class _PassError(InputError):
    """The user's model or loss failed on a batch."""


def _with_graph_if_needed(problem: Problem, run: Callable[[], object]) -> None:
    """Run something of the first evaluations without a graph, and with one if model or loss fails.

    One that takes derivatives itself, such as by its inputs, needs a graph. That it runs with one tells it:
    errors for want of a graph have no type and no text of their own.
    """
    try:
        with torch.set_grad_enabled(problem._derives):
            run()
    except _PassError as failure:
        failed = failure
    else:
        return
    if not problem._derives:
        problem._derives, problem._forward.takes_batch = True, True
        try:
            run()
        except InputError:
            problem._derives = False  # what was wrong without a graph says more
        else:
            return
    raise InputError(str(failed)) from failed.__cause__


def _try_first(problem: Problem) -> None:
    """Run the first batch, twice: does everything fit, and is it deterministic?"""
    batch = problem.first
    with unwritten(problem.module):
        output, target = _first_output(problem, batch)
    target = settle_targets(problem, output, target)
    batch = problem.first
    if problem.loss_name == "cross_entropy":
        if not torch.is_tensor(output) or output.ndim < 2:
            raise InputError(f"cross_entropy needs logits (B, C); the model returned {_describe(output)}.")
        if not torch.is_tensor(target):
            raise InputError("cross_entropy needs targets; the batches hold none.")
        ask_which_token(problem, output, target)
        axis = settle_axis(output, target, problem._all, partial(_run_anywhere, problem))
        problem.criterion.read_along(axis)
        problem.reading = replace(problem.reading, axis=axis)
        check_labels(problem._all, output.shape[axis])
    elif problem.criterion.by_token:
        target = settle_tokens(problem, output, target)
        batch = problem.first
        problem.reading = replace(problem.reading, axis=-1)
        check_labels(problem._all, output.shape[-1], blank=True)
    values, target = _first_loss(problem, output, target)
    batch = problem.first
    output = cut_off(output)
    if values.ndim == 0:
        problem.criterion.judge(*_whole_and_parts(problem))
        if len(problem._all) > 1:
            problem.criterion.refuse_cuts()
    problem.reading = read_outputs(output, target, values, problem.criterion, problem.reading)
    if (values.ndim == 1 and len(values) == batch.size) or values.ndim == 0:
        again = problem._losses(*problem.output(batch))
        if not torch.equal(values.nan_to_num(), again.nan_to_num()):
            raise InputError(
                f"{type(problem.module).__name__} gives two different losses on the same batch in"
                " evaluation mode; remove its randomness (or seed it inside forward)."
            )
        return
    raise InputError(
        f"the loss {problem.loss_name} returned shape {tuple(values.shape)} for {batch.size} examples;"
        " return one loss per example, shape (B,), or a scalar mean."
    )


def _run_anywhere(problem: Problem, batch: Batch) -> tuple[Any, Any]:
    """Output and target of any of all batches, wherever they are kept."""
    return problem.output(batch.to(problem.device))


def _whole_and_parts(problem: Problem) -> list[list[tuple[Any, Any, int]]]:
    """Output, target and size of some examples and of two parts of them, in one or two tries, if possible."""
    drawn = sample(problem._all, PROBED)  # of all batches: one alone may hold one class
    batch = (rebatch(drawn, PROBED) if batches_joinable(drawn) else drawn)[0].to(problem.device)
    output, target = problem.output(batch)
    output = cut_off(output)
    found = cut(output, target, batch.size)
    if found:
        return [found, cut(shaken(output), target, batch.size)]
    parts = batch.split(-(-batch.size // 2))
    if problem.batchnorm == "batch" or len(parts) != 2:
        return []
    found = [(output, target, batch.size), *((*problem.output(part), part.size) for part in parts)]
    return [[(cut_off(output), target, size) for output, target, size in found]]


def _first_output(problem: Problem, batch: Batch) -> tuple[Any, Any]:
    try:
        return problem.output(batch)
    except Exception as error:
        failure, reasons = error, reason(error)
    if problem._forward.function is not None:  # perhaps it wants the inputs alone
        problem._forward.takes_batch = False
        try:
            return problem.output(batch)
        except Exception as error:
            reasons = f"given the batch, {reasons}; given its inputs, {reason(error)}"
    shapes = ", ".join(f"{tuple(t.shape)} {name_of(t.dtype)}" for _, t in tensors_in(batch.inputs))
    advice = "" if problem._forward.function else input_advice(problem.module, batch, reasons)
    raise _PassError(
        f"{type(problem.module).__name__} cannot take the first batch (inputs {shapes}): {advice or reasons}"
    ) from failure


def _first_loss(problem: Problem, output: Any, target: Any) -> tuple[Tensor, Any]:
    """The losses of the first batch, without their graph, and its target in the form that the loss takes."""
    try:
        values = problem._losses(output, target)
    except InputError:
        raise
    except Exception as error:
        found = retry_loss(problem, lambda: problem._losses(output, problem.first.target))
        if found is None:
            advice = loss_advice(output, target) or reason(error)
            raise _PassError(
                f"the loss {problem.loss_name} failed on the first batch (output {_describe(output)},"
                f" target {_describe(target)}): {advice}"
            ) from error
        values, target = found, problem.first.target
    if not torch.is_tensor(values):
        raise InputError(f"the loss {problem.loss_name} returned a {type(values).__name__}; return a tensor.")
    return cut_off(values), target


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{tuple(value.shape)} {name_of(value.dtype)}"
    return type(value).__name__

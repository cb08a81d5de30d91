"""Losses per example, and the checks that keep them meaningful."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from landscape.core.data.batches import Batch
from landscape.errors import InputError, reason, suggest

__all__ = [
    "CROSS_ENTROPIES",
    "LOSSES",
    "TOKEN_LOSSES",
    "VARIANCE_FLOOR",
    "LossFunction",
    "accuracy_per_example",
    "check_labels",
    "gaussian_fisher",
    "gaussian_moments",
    "gaussian_nll",
    "gaussian_outputs",
    "resolve_loss",
    "token_cross_entropy",
]

LossFunction = Callable[[Tensor, Tensor], Tensor]

IGNORE_INDEX = -100

VARIANCE_FLOOR = 1e-6
"""Least variance of a Gaussian head, in squared units of its targets."""


def _per_example(values: Tensor) -> Tensor:
    return values if values.ndim <= 1 else values.flatten(1).mean(1)


def cross_entropy(output: Tensor, target: Tensor, *, axis: int = 1) -> Tensor:
    """Cross-entropy in nats per example, shape (B,).

    Args:
        output: Logits (B, C) or (B, C, ...); dense outputs are averaged over the positions of each example
            whose target is not the ignore index -100.
        target: Class indices (B, ...) or class probabilities shaped as the logits.
        axis: The axis of the classes, if not the second.
    """
    if axis != 1:
        output = output.movedim(axis, 1)
    values = F.cross_entropy(output, target, reduction="none", ignore_index=IGNORE_INDEX)
    if values.ndim == 1 or target.is_floating_point():
        return _per_example(values)
    return values.flatten(1).sum(1) / (target != IGNORE_INDEX).flatten(1).sum(1)


def token_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy in nats of each sequence, summed over its tokens that count, shape (B,).

    Args:
        output: Logits (B, T, V), the vocabulary along the last axis.
        target: Tokens (B, T); those of the ignore index −100 count nowhere.
    """
    rows = F.cross_entropy(output.movedim(-1, 1), target, reduction="none", ignore_index=IGNORE_INDEX)
    return rows.flatten(1).sum(1)


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Squared error per example, averaged over output entries as in ``torch.nn.MSELoss``, shape (B,).

    For a linear model with one output its Hessian is 2 XᵀX/N; see `half_squared_error` for XᵀX/N.
    """
    return _per_example((_fit(output, target) - target) ** 2)


def half_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """½‖output − target‖² per example, summed over output entries, shape (B,): Hessian XᵀX/N."""
    squares = (_fit(output, target) - target) ** 2
    return 0.5 * (squares if squares.ndim <= 1 else squares.flatten(1).sum(1))


def gaussian_nll(output: Tensor, target: Tensor) -> Tensor:
    """−ln N(target; mean, variance) in nats per example, summed over the D targets, shape (B,).

    The constant ½ ln 2π is in it, so that it is the negative logarithm of a density. Not convex in the
    outputs: `gaussian_fisher` is what stands for its curvature there.

    Args:
        output: Shape (B, 2D, ...): D means, then D numbers r of which `gaussian_moments` makes variances.
        target: Shape (B, D, ...), or (B,) of one target.

    Reference:
        Nix & Weigend (1994), Estimating the mean and variance of the target probability distribution;
        Lakshminarayanan et al. (2017), equation 1.
    """
    mean, variance = gaussian_moments(output)
    errors = (_fit(mean, target) - target) ** 2
    entries = 0.5 * (variance.reshape(errors.shape).log() + errors / variance.reshape(errors.shape))
    entries = entries + 0.5 * math.log(2.0 * math.pi)
    return entries if entries.ndim == 1 else entries.flatten(1).sum(1)


def gaussian_moments(output: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances of a Gaussian head, each (B, D, ...): the variance is softplus(r) + 1e-6.

    Args:
        output: Shape (B, 2D, ...): D means, then D numbers r.

    Raises:
        InputError: If axis 1 does not halve.
    """
    if output.ndim < 2 or output.shape[1] % 2:
        raise InputError(
            "gaussian_nll needs outputs (B, 2D), D means and then D variances before the softplus; the model"
            f" returned {tuple(output.shape)}."
        )
    mean, raw = output.chunk(2, dim=1)
    return mean, F.softplus(raw) + VARIANCE_FLOOR


def gaussian_outputs(mean: Tensor, variance: Tensor) -> Tensor:
    """The outputs (B, 2D, ...) of which `gaussian_moments` makes these means and variances.

    Variances at the floor or below it become the floor.
    """
    above = variance - VARIANCE_FLOOR
    raw = above + (-torch.expm1(-above)).clamp(min=0.0).log()  # the inverse of the softplus, without overflow
    return torch.cat([mean, raw.where(above > 0, -torch.inf)], dim=1)


def gaussian_fisher(output: Tensor) -> Callable[[Tensor], Tensor]:
    """The Fisher matrix of `gaussian_nll` in its outputs, as a map of tangents (B, 2D, ...).

    diag(1/v, v′(r)²/(2v²)), positive semi-definite: the Hessian is not, since the loss is not convex in the
    variance. The Gauss-Newton matrix has it in the middle if the natural parameters (μ/v, −1/(2v)), in which
    the loss is convex, are taken as the outputs.

    Reference:
        Martens (2020), New insights and perspectives on the natural gradient method, sections 5 and 9.2.
    """
    raw = output.chunk(2, dim=1)[1]
    variance = gaussian_moments(output)[1]
    diagonal = torch.cat([1.0 / variance, 0.5 * (raw.sigmoid() / variance) ** 2], dim=1)
    return lambda tangent: diagonal * tangent


def _fit(output: Tensor, target: Tensor) -> Tensor:
    """Outputs in the shape of the targets: axes of length 1 after the first may differ, no more."""
    if output.shape == target.shape:
        return output
    if _long_axes(output) == _long_axes(target):
        return output.reshape(target.shape)
    raise InputError(
        f"errors of a regression need means and targets of one shape; got {tuple(output.shape)} and"
        f" {tuple(target.shape)}."
    )


def _long_axes(tensor: Tensor) -> list[int]:
    return [*tensor.shape[:1], *(n for n in tensor.shape[1:] if n > 1)]


LOSSES: dict[str, LossFunction] = {
    "cross_entropy": cross_entropy,
    "mse": mse,
    "half_squared_error": half_squared_error,
    "gaussian_nll": gaussian_nll,
    "causal_lm": token_cross_entropy,
    "token_cross_entropy": token_cross_entropy,
}

TOKEN_LOSSES = ("causal_lm", "token_cross_entropy")
"""Losses by name that are a mean over the tokens of all sequences; see `door.tokens`."""

CROSS_ENTROPIES = ("cross_entropy", *TOKEN_LOSSES)
"""Losses by name whose likelihood is categorical."""


def resolve_loss(loss: str | LossFunction) -> tuple[str, LossFunction]:
    """Name and function of a loss given by name or as a callable.

    A class is made without arguments, and a function that takes none is called to make the loss.

    Raises:
        InputError: If the name is unknown or the object cannot be called.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise InputError(f"there is no loss '{loss}'; {suggest(loss, LOSSES)}")
        return loss, LOSSES[loss]
    # CrossEntropyLoss for CrossEntropyLoss() is a common slip, and there is but one thing to be meant.
    if isinstance(loss, type):
        given = loss
        try:
            loss = given()
        except TypeError as error:
            raise InputError(
                f"the loss {given.__name__} is a class that cannot be made without arguments ({error}); give"
                " an instance, or a function that is one loss per example."
            ) from error
    if inspect.isfunction(loss) and not inspect.signature(loss).parameters:  # makes a loss, as builders do
        try:
            made = loss()
        except Exception as error:
            raise InputError(
                f"the loss {loss.__qualname__}, which takes no arguments and so has to make one, raised"
                f" {reason(error)}"
            ) from error
        return resolve_loss(made)
    if not callable(loss):
        raise InputError(f"a loss must be a name or callable; got {type(loss).__name__}.")
    module = getattr(loss, "__module__", type(loss).__module__)
    name = getattr(loss, "__qualname__", type(loss).__qualname__)
    return f"{module}:{name}", loss


def check_labels(batches: list[Batch], classes: int, *, blank: bool = False) -> None:
    """Raise unless every integer label lies in [0, classes) or is the ignore index -100.

    Args:
        batches: All batches.
        classes: Number of classes.
        blank: Whether an example may have no label that counts.

    Raises:
        InputError: Naming the first batch at fault and the offending label, or the first example of
            which every label is ignored.
    """
    for index, batch in enumerate(batches):
        labels = batch.target
        if not isinstance(labels, Tensor) or labels.is_floating_point():
            continue
        wrong = labels[((labels < 0) | (labels >= classes)) & (labels != IGNORE_INDEX)]
        if wrong.numel():
            raise InputError(
                f"label {int(wrong.reshape(-1)[0])} in batch {index} is out of range: the model has"
                f" {classes} outputs, so labels must lie in 0...{classes - 1}."
            )
        ignored = (labels.reshape(len(labels), -1) == IGNORE_INDEX).all(1).nonzero()
        if len(ignored) and not blank:
            raise InputError(
                f"example {int(ignored[0])} of batch {index} has no label but the ignore index"
                f" {IGNORE_INDEX}; leave it out of the data."
            )


def accuracy_per_example(output: Tensor, target: Tensor, ignore_index: int = IGNORE_INDEX) -> Tensor | None:
    """Share of right answers per example, shape (B,); ``None`` unless logits meet class indices.

    An answer whose logits hold NaN is neither right nor wrong: it is NaN. Labels outside [0, C) and the
    ignore index are void: they count neither as right nor as wrong, and the share of an example without any
    other is −1.
    """
    if output.ndim < 2 or output.shape[1] < 2 or not isinstance(target, Tensor) or target.is_floating_point():
        return None
    if output.shape[:1] + output.shape[2:] != target.shape:
        return None
    right = (output.argmax(1) == target).to(torch.float64)
    right = right.masked_fill(output.isnan().any(1), torch.nan)
    counted = (target >= 0) & (target < output.shape[1]) & (target != ignore_index)
    if right.ndim == 1:
        # Not NaN, which says that the outputs themselves are not finite.
        return right.masked_fill(~counted, -1.0)
    numbers = counted.flatten(1).sum(1)
    shares = right.masked_fill(~counted, 0.0).flatten(1).sum(1) / numbers
    return shares.masked_fill(numbers == 0, -1.0)

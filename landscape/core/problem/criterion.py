"""Criterion: a loss as a problem applies it, so that its value does not depend on how data is cut."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from landscape.core.data.trees import map_tensors, tensors_in
from landscape.core.problem.losses import (
    IGNORE_INDEX,
    TOKEN_LOSSES,
    LossFunction,
    cross_entropy,
    resolve_loss,
)
from landscape.errors import InputError

__all__ = ["Criterion", "Reduction", "cut", "shaken"]

Reduction = Literal["example", "mean", "sum", "whole"]
"""What a loss gives: losses per example; or a scalar, their mean, their sum, or neither of them."""

# torch's own losses of (output, target): by class, by function.
_BY_TARGET = {"CrossEntropyLoss": "cross_entropy", "NLLLoss": "nll_loss"}
_BY_ENTRY = {
    "L1Loss": "l1_loss",
    "MSELoss": "mse_loss",
    "SmoothL1Loss": "smooth_l1_loss",
    "HuberLoss": "huber_loss",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "KLDivLoss": "kl_div",
    "PoissonNLLLoss": "poisson_nll_loss",
    "SoftMarginLoss": "soft_margin_loss",
    "HingeEmbeddingLoss": "hinge_embedding_loss",
}
_BY_ROW = {
    "MultiMarginLoss": "multi_margin_loss",
    "MultiLabelMarginLoss": "multilabel_margin_loss",
    "MultiLabelSoftMarginLoss": "multilabel_soft_margin_loss",
}
_BY_NAME = {"cross_entropy": "target", "mse": "entry", "half_squared_error": "entry"}
_BY_NAME |= dict.fromkeys(TOKEN_LOSSES, "target")
_NAMES = (_BY_TARGET, _BY_ENTRY, _BY_ROW)
_FUNCTIONS = {
    getattr(F, name): kind
    for kind, names in (("target", _BY_TARGET), ("entry", _BY_ENTRY), ("row", _BY_ROW))
    for name in names.values()
}
_CLASSES = {
    getattr(nn, name): kind
    for kind, names in (("target", _BY_TARGET), ("entry", _BY_ENTRY), ("row", _BY_ROW))
    for name in names
}


class Criterion:
    """A loss ``(output, target)`` as losses per example wherever they can be had.

    torch's own losses, as modules, functions or partial functions, are run with ``reduction="none"``. Their
    mean over the data is then torch's value on all the data at once: the weighted mean Σ w ℓ / Σ w where
    there are class weights or ignored labels, the sum Σ ℓ with ``reduction="sum"``.

    Args:
        loss: As `landscape.Problem` takes it.
        device: Where class weights are put.
        dtype: Their type.

    Attributes:
        name: The loss's name.
        kind: What a loss that is known takes beside the outputs: a ``target`` class, an ``entry`` for each of
            their entries, or a ``row`` of them; empty of other losses.
        reduction: What the loss gives.
        total_of_torch: Whether torch sums the losses per example.
        scale: What losses per example are multiplied by.
        ignore_index: The label that the loss leaves out.
        weighs: Whether examples may weigh differently.
        by_token: Whether it is a loss of `TOKEN_LOSSES`: examples are sequences, means are over tokens.
        plain: Whether nothing that torch weights or smooths enters the loss.

    Raises:
        InputError: As `resolve_loss`.
    """

    def __init__(self, loss: str | LossFunction, device: torch.device, dtype: torch.dtype) -> None:
        self.name, given = resolve_loss(loss)
        self.function: Callable[[Any, Any], Tensor] = given
        self.kind = _BY_NAME.get(loss, "") if isinstance(loss, str) else ""
        self.reduction: Reduction = "example"
        self.total_of_torch = False
        self.scale = 1.0
        self.ignore_index = IGNORE_INDEX
        self.plain = True
        self._weight: Tensor | None = None
        self.weighs = False
        self._known = isinstance(loss, str)
        self.by_token = isinstance(loss, str) and loss in TOKEN_LOSSES
        self.weighs = self.by_token
        recognised = _recognise(given, device, dtype)
        if recognised is None:
            return
        kind, run, options = recognised
        self.kind = kind
        self._known = True
        reduction = options["reduction"]
        self._weight = options.get("weight") if kind == "target" else None
        if kind == "target":
            self.ignore_index = options["ignore_index"]
            self.plain = self._weight is None and not options.get("label_smoothing")
        self.total_of_torch = reduction == "sum"
        self.weighs = kind == "target" and reduction == "mean"
        self.function = partial(_losses, run, kind, reduction, self.name)

    def __call__(self, output: Any, target: Any) -> Tensor:
        """Losses per example (B,), or a scalar."""
        values = self.function(output, target)
        return values if self.scale == 1.0 or not torch.is_tensor(values) else values * self.scale

    def total(self, values: Tensor, size: int) -> Tensor:
        """The sum over a batch of ``size`` examples of what a call gave."""
        if values.ndim:
            return values.sum()
        return values if self.reduction == "sum" else values * size

    @property
    def takes_tensor(self) -> bool:
        """Whether it is known to take one tensor as the output."""
        return self._known

    @property
    def of_torch(self) -> str:
        """Which of torch's losses it is, by the name of the function; empty if it is another."""
        if self.name == "cross_entropy" or self.by_token:
            return "cross_entropy"
        if not self._known or not isinstance(self.function, partial) or self.function.func is not _losses:
            return ""
        run = self.function.args[0]
        if isinstance(run, partial):
            return str(run.func.__name__)
        return next(names[type(run).__name__] for names in _NAMES if type(run).__name__ in names)

    @property
    def is_sum(self) -> bool:
        """Whether the problem's loss is the sum over the data rather than the mean."""
        return self.total_of_torch or self.reduction == "sum"

    def weights(self, output: Any, target: Any) -> Tensor | None:
        """What each example weighs in torch's mean (B,); ``None`` if all weigh the same."""
        if not self.weighs or not torch.is_tensor(target) or target.is_floating_point():
            return None
        counted = target != self.ignore_index
        if self._weight is None:
            entries = counted.double()
        else:
            entries = self._weight.double()[target.where(counted, 0)] * counted
        return entries if entries.ndim == 1 else entries.flatten(1).sum(1)

    def scaled(self, scale: float) -> Criterion:
        """The same with another scale."""
        other = copy.copy(self)
        other.scale = scale
        return other

    def in_dtype(self, dtype: torch.dtype) -> Criterion:
        """The same with its tensors, such as class weights, in another dtype."""
        other = copy.copy(self)
        other.function, other._weight = _converted(self.function, dtype), _converted(self._weight, dtype)
        return other

    def read_along(self, axis: int) -> None:
        """Let a cross-entropy by name find the classes along another axis."""
        if axis != 1:
            self.function = partial(cross_entropy, axis=axis)

    def judge(self, *tries: list[tuple[Any, Any, int]]) -> None:
        """Find out what a scalar loss is, from its values on a whole and on the two parts of it.

        Args:
            tries: Each has output, target and number of examples of a whole and of its parts; empty if there
                is no way to cut. The scalar is taken as a mean unless one of them shows another.
        """
        self.reduction = "mean"
        if self._known:
            return
        for pieces in filter(None, tries):
            found = self._compare(pieces)
            if found != "mean":
                self.reduction = found
                return

    def _compare(self, pieces: list[tuple[Any, Any, int]]) -> Reduction:
        """What the values on a whole and its parts show."""
        try:
            values = [self.function(output, target) for output, target, _ in pieces]
        except Exception:  # a loss made for whole batches may fail on parts in any way
            return "mean"
        if not all(torch.is_tensor(v) and v.ndim == 0 and bool(v.isfinite()) for v in values):
            return "mean"
        whole, a, b = (float(v.detach()) for v in values)
        n, na, nb = (size for *_, size in pieces)
        size = max(abs(whole), abs(a), abs(b))
        tolerance = min(1000 * torch.finfo(values[0].dtype).eps, 0.05) * size
        if abs(whole - (na * a + nb * b) / n) <= tolerance:
            return "mean"
        self._parts = n, whole, na, a, nb, b
        return "sum" if abs(whole - (a + b)) <= tolerance else "whole"

    def refuse_cuts(self) -> None:
        """Raise if the loss needs all the data in one batch.

        Raises:
            InputError: With the values that give it away.
        """
        if self.reduction != "whole":
            return
        n, whole, na, a, nb, b = self._parts
        raise InputError(
            f"the loss {self.name} is neither a mean nor a sum over examples ({whole:.4g} on {n} of them,"
            f" {a:.4g} and {b:.4g} on {na} and {nb} of the same), so it depends on how the data is cut into"
            " batches: return one loss per example, shape (B,), or give all the data in one batch."
        )


def _converted(part: Any, dtype: torch.dtype) -> Any:
    """A loss, or what it is made of, with its tensors in another dtype."""
    if isinstance(part, partial):
        keywords = {name: _converted(value, dtype) for name, value in part.keywords.items()}
        return partial(_converted(part.func, dtype), *(_converted(a, dtype) for a in part.args), **keywords)
    if isinstance(part, nn.Module):
        return copy.deepcopy(part).to(dtype)
    return part.to(dtype) if torch.is_tensor(part) and part.is_floating_point() else part


def cut(output: Any, target: Any, size: int) -> list[tuple[Any, Any, int]]:
    """Outputs and targets of a batch, whole and in two parts; none if they have no entry per example.

    The parts hold examples of different targets, a third and the rest, so that what depends on targets or on
    the number of examples shows.
    """
    tensors = [t for _, t in (*tensors_in(output), *tensors_in(target)) if t.ndim]
    if size < 2 or not tensors or any(len(t) != size for t in tensors):
        return []
    if next(tensors_in(output), ("", torch.tensor(0.0)))[1].ndim == 0:
        return []
    key = next((t for _, t in tensors_in(target) if t.ndim), torch.arange(size, device=tensors[0].device))
    order = key.reshape(size, -1).double().mean(1).argsort(stable=True)
    at = max(1, size // 3)
    pieces = [(output, target, size)]
    for index in (order[:at], order[at:]):

        def take(tensor: Tensor, index: Tensor = index) -> Tensor:
            return tensor[index.to(tensor.device)] if tensor.ndim else tensor

        pieces.append((map_tensors(output, take), map_tensors(target, take), len(index)))
    return pieces


def shaken(output: Any) -> Any:
    """Outputs with noise as large as they are themselves, always the same.

    A model that has learnt nothing yet puts out nearly the same for all examples, so that their losses hardly
    differ, and a mean over anything else passes for their mean.
    """
    generator = torch.Generator().manual_seed(0)

    def shake(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point() or tensor.numel() < 2:
            return tensor
        noise = torch.randn(tensor.shape, generator=generator).to(tensor.device, tensor.dtype)
        return tensor + noise * tensor.detach().std()

    return map_tensors(output, shake)


def _recognise(
    loss: LossFunction, device: torch.device, dtype: torch.dtype
) -> tuple[str, Callable[[Tensor, Tensor], Tensor], dict[str, Any]] | None:
    """Kind, function with ``reduction="none"`` and options of one of torch's losses; ``None`` of another."""
    if type(loss) in _CLASSES and isinstance(loss, nn.Module):
        module: Any = copy.deepcopy(loss)
        module = module.to(device)
        if any(b.is_floating_point() and b.dtype != dtype for b in module.buffers()):
            module = module.to(dtype)
        options = {**vars(module), **dict(module.named_buffers())}
        module.reduction = "none"
        return (_CLASSES[type(loss)], module, options) if _plain(options) else None
    function, given = (loss.func, dict(loss.keywords)) if isinstance(loss, partial) else (loss, {})
    if not inspect.isfunction(function) and not inspect.isbuiltin(function):
        return None
    if function not in _FUNCTIONS or (isinstance(loss, partial) and loss.args):
        return None
    defaults = {
        name: p.default
        for name, p in inspect.signature(function).parameters.items()
        if p.default is not p.empty
    }
    given = {
        name: value.to(device, dtype if value.is_floating_point() else value.dtype)
        if torch.is_tensor(value)
        else value
        for name, value in given.items()
    }
    options = {**defaults, **given}
    if not _plain(options):
        return None
    run = partial(function, **{**given, "reduction": "none"})
    return _FUNCTIONS[function], run, options


def _plain(options: dict[str, Any]) -> bool:
    """Whether a loss is reduced in one of the ways that are known, and not by torch's retired options."""
    retired = options.get("size_average") is not None or options.get("reduce") is not None
    return not retired and options.get("reduction") in ("mean", "sum", "batchmean")


def _losses(
    run: Callable[[Tensor, Tensor], Tensor],
    kind: str,
    reduction: str,
    name: str,
    output: Tensor,
    target: Tensor,
) -> Tensor:
    """Losses per example (B,) of one of torch's losses."""
    if kind == "entry" and torch.is_tensor(output) and output.shape != target.shape:
        raise InputError(
            f"the loss {name} compares entry by entry, but outputs have shape {tuple(output.shape)} and"
            f" targets {tuple(target.shape)}; give both one shape."
        )
    values = run(output, target)
    if values.ndim <= 1:
        return values
    dense_classes = kind == "target" and not target.is_floating_point()
    rows = values.flatten(1)
    return rows.sum(1) if reduction in ("sum", "batchmean") or dense_classes else rows.mean(1)

"""Tokens: which label belongs to which token's logits, as language models' batches leave it open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from landscape.core.data.batches import Batch, tensors_in
from landscape.core.problem.door.conversions import Conversion, convert, of_tensors
from landscape.core.problem.losses import IGNORE_INDEX
from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["ask_which_token", "settle_tokens"]


def settle_tokens(problem: Problem, output: Any, target: Any) -> Tensor:
    """The first batch's labels, each at the logits that it is compared with; all batches likewise.

    Hugging Face gives a causal language model its tokens as labels, and the loss moves them by one. Here the
    data is moved, once, so that whatever reads outputs beside targets sees pairs that belong together; the
    last token of a sequence has no next one, and the ignore index.

    Args:
        problem: One with a loss over tokens whose model has run.
        output: Output of the first batch.
        target: Its target.

    Raises:
        InputError: If there are no logits (B, T, V) and labels (B, T), or the labels are moved already.
    """
    name = problem.loss_name
    sequences = torch.is_tensor(output) and output.ndim == 3 and torch.is_tensor(target)
    if not sequences or target.is_floating_point() or output.shape[:2] != target.shape:
        shapes = [tuple(t.shape) if torch.is_tensor(t) else type(t).__name__ for t in (output, target)]
        raise InputError(
            f"{name} needs logits (B, T, V) and labels (B, T), tokens or {IGNORE_INDEX}; the model returned"
            f" {shapes[0]} and the labels are {shapes[1]}."
        )
    labels: Tensor = target
    if name != "causal_lm":
        return labels
    given = problem.first.target
    if not torch.is_tensor(given) or given.shape != labels.shape or not torch.equal(given, labels):
        raise InputError(
            "causal_lm moves the labels of the batches by one token, and forward= returns targets of its own:"
            " return the output alone, or move them there and take loss='token_cross_entropy'."
        )
    if _hold(problem._all, _is_next) and not _hold(problem._all, _is_same):
        raise InputError(
            "the labels are the next tokens already, and causal_lm would move them once more: take"
            " loss='token_cross_entropy', or give the input tokens themselves as labels."
        )
    convert(problem, Conversion("labels moved by one token", of_tensors("target", _moved)))
    moved: Tensor = problem.first.target
    return moved


def ask_which_token(problem: Problem, output: Any, target: Any) -> None:
    """Raise if a plain cross-entropy would compare each token of a language model with itself.

    Args:
        problem: One with the loss ``cross_entropy``.
        output: Output of the first batch.
        target: Its target.

    Raises:
        InputError: If labels are the input tokens, with the two losses that may be meant.
    """
    if not isinstance(problem.first.inputs, Mapping) or not torch.is_tensor(output) or output.ndim != 3:
        return
    if torch.is_tensor(target) and output.shape[:2] == target.shape and _hold(problem._all, _is_same):
        raise InputError(
            "the labels are the input tokens themselves: take loss='causal_lm' for a model of the next token"
            " (labels moved by one, the mean over all tokens), or loss='token_cross_entropy' if each token is"
            " to be told where it stands."
        )


def _moved(labels: Tensor) -> Tensor:
    """Labels (B, T) of the next tokens."""
    return F.pad(labels[:, 1:], (0, 1), value=IGNORE_INDEX)


def _hold(batches: Iterable[Batch], alike: Callable[[Tensor, Tensor], Tensor]) -> bool:
    """Whether the labels of all batches are some of their inputs' tokens."""
    found: set[int] = set()
    for batch in batches:
        labels = batch.target
        if not torch.is_tensor(labels):  # a loss of the user's finds them elsewhere
            return False
        tokens = [t for _, t in tensors_in(batch.inputs) if t.shape == labels.shape and _is_whole(t)]
        if not any(bool(alike(t, labels).all()) for t in tokens):
            return False
        found.update(torch.unique(labels[labels != IGNORE_INDEX])[:2].tolist())
    return len(found) > 1  # one label alone may be that of a mask by chance


def _is_same(tokens: Tensor, labels: Tensor) -> Tensor:
    return (tokens == labels) | (labels == IGNORE_INDEX)


def _is_next(tokens: Tensor, labels: Tensor) -> Tensor:
    return _is_same(tokens[:, 1:], labels[:, :-1])


def _is_whole(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and not tensor.is_complex()

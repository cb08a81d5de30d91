"""Function taps: attention weights and residual sums, seen where torch's functions are called.

Attention that runs in a fused kernel never shows its weights to a module hook. Within `FunctionTap` they
are recomputed from the queries and keys of each call of ``scaled_dot_product_attention`` and of
``nn.MultiheadAttention``'s function, and taken as they are where a model calls a softmax of its own.
The results of the calls themselves are not touched.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from math import sqrt
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["SOFTMAX", "FunctionTap", "attention_weights", "multihead_arguments"]

_SUMS = {
    torch.add,
    Tensor.add,
    Tensor.add_,
    Tensor.__add__,
    Tensor.__radd__,
    Tensor.__iadd__,
}
SOFTMAX = {torch.softmax, F.softmax, Tensor.softmax}
"""The forms of a softmax."""

_CHUNK = 1 << 22
"""Entries of the attention matrices that are in memory at a time."""


class FunctionTap(TorchFunctionMode):
    """Within it, calls of attention and sums of two features of one shape are reported.

    Args:
        on_attention: Called with the number of rows b, and a function that works out the weights (b, heads,
            queries, keys) of the first so many rows, in consecutive chunks; ``None`` not to look.
        on_sum: Called with both operands before the sum and a function that returns the sum; it must
            return what that function returned.
        quiet: While it returns true, nothing is reported (a receiver is at work).
    """

    def __init__(
        self,
        on_attention: Callable[[int, Callable[[int], Iterator[Tensor]]], None] | None,
        on_sum: Callable[[Tensor, Tensor, Callable[[], Tensor]], Tensor] | None,
        quiet: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._on_attention = on_attention
        self._on_sum = on_sum
        self._quiet = quiet

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, and report it if it is one of ours."""
        kwargs = kwargs or {}
        if self._quiet():
            return func(*args, **kwargs)
        # Before the sum runs: an in-place one overwrites an operand, which may be the residual stream.
        if self._on_sum is not None and func in _SUMS and _same_shape(args):
            return self._on_sum(args[0], args[1], lambda: func(*args, **kwargs))
        result = func(*args, **kwargs)
        if self._on_attention is None:
            return result
        if func is F.scaled_dot_product_attention:
            self._on_attention(len(result), lambda rows: attention_weights(*args, **kwargs, rows=rows))
        elif func is F.multi_head_attention_forward:
            self._on_attention(result[0].shape[1], lambda rows: _multihead_weights(args, kwargs, rows))
        elif func in SOFTMAX and _is_attention(result, args, kwargs):
            self._on_attention(len(result), lambda rows: _chunks(result[:rows]))
        return result


def attention_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    rows: int | None = None,
) -> Iterator[Tensor]:
    """The weights that ``scaled_dot_product_attention`` uses, in chunks of the batch.

    Args: those of that function, and ``rows`` for the weights of the first so many examples only. Dropout is
    left out. Of inputs without four axes nothing is yielded.

    Yields:
        Weights (b, heads, queries, keys) of consecutive examples; rows sum to 1.
    """
    if query.ndim != 4:
        return
    batch, heads, queries, keys = *query.shape[:3], key.shape[-2]
    # The formula of torch's documentation; masks are True where attention is allowed, or added to the scores.
    factor = 1.0 / sqrt(query.shape[-1]) if scale is None else scale
    mask = attn_mask
    if is_causal:
        mask = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril()
    if mask is not None:
        mask = mask.expand(batch, heads, queries, keys)
    if enable_gqa:
        key = key.repeat_interleave(heads // key.shape[1], dim=1)
    step = max(1, _CHUNK // (heads * queries * keys))
    end = batch if rows is None else rows
    for start in range(0, end, step):
        part = slice(start, min(start + step, end))
        scores = query[part] @ key[part].transpose(-2, -1) * factor
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask[part], float("-inf"))
        elif mask is not None:
            scores = scores + mask[part]
        yield scores.softmax(-1)


def multihead_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
    """The arguments of a call of ``F.multi_head_attention_forward`` by name, defaults included."""
    call = inspect.signature(F.multi_head_attention_forward).bind(*args, **kwargs)
    call.apply_defaults()
    return call


def _multihead_weights(args: tuple[Any, ...], kwargs: dict[str, Any], rows: int) -> Iterator[Tensor]:
    """The first rows' weights of ``F.multi_head_attention_forward``, by asking it for them, in chunks."""
    # Asked again with the weights, which a model that does not want them never has worked out.
    call = multihead_arguments(args, kwargs)
    given = call.arguments
    given.update(need_weights=True, average_attn_weights=False, training=False)
    query, key, value = given["query"], given["key"], given["value"]
    if query.ndim != 3:
        return
    batch = query.shape[1]  # this function has tokens first: (T, B, C)
    # Masks and cached keys that have a row per example could not follow a cut of the batch.
    alone = all(given[n] is None for n in ("key_padding_mask", "static_k", "static_v"))
    mask = given["attn_mask"]
    alone = alone and (mask is None or mask.ndim == 2)
    size = int(given["num_heads"]) * query.shape[0] * key.shape[0]
    step = max(1, _CHUNK // size) if alone else batch
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows) if alone else batch)
        given.update(query=query[:, part], key=key[:, part], value=value[:, part])
        weights = F.multi_head_attention_forward(*call.args, **call.kwargs)[1]
        assert weights is not None  # they were asked for
        yield weights[:rows]


def _chunks(weights: Tensor) -> Iterator[Tensor]:
    yield from torch.split(weights, max(1, _CHUNK // weights[0].numel()))


def _same_shape(args: tuple[Any, ...]) -> bool:
    return (
        len(args) == 2
        and isinstance(args[0], Tensor)
        and isinstance(args[1], Tensor)
        and args[0].shape == args[1].shape
        and args[0].ndim in (3, 4)
        and args[0].is_floating_point()
    )


def _is_attention(result: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a softmax's result is (b, heads, tokens, tokens) with rows that sum to 1."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    return result.ndim == 4 and result.shape[-1] == result.shape[-2] and dim in (-1, 3)

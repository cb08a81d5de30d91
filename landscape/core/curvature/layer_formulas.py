"""Layers whose second derivatives torch lacks or gets wrong, as formulas that autograd takes step by step.

Values are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

__all__ = ["FORMULAS"]


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """The formula w = g v/‖v‖, whose derivatives autograd takes step by step."""
    return v * (g / torch.norm_except_dim(v, 2, dim))


def _embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima over the rows (D,) of each bag, (B, D); the padding token is in none."""
    if input.ndim == 2:
        bags = torch.arange(len(input), device=input.device).repeat_interleave(input.shape[1])
        count, input = len(input), input.reshape(-1)
    else:
        assert offsets is not None
        starts = offsets[:-1] if include_last_offset else offsets
        count = len(starts)
        places = torch.arange(len(input), device=input.device)
        bags = torch.searchsorted(starts.contiguous(), places, right=True) - 1
    shares = torch.ones_like(input, dtype=weight.dtype)
    if per_sample_weights is not None:
        shares = per_sample_weights.reshape(-1)
    if padding_idx is not None:
        counted = input != padding_idx % len(weight)
        input, bags, shares = input[counted], bags[counted], shares[counted]
    rows = F.embedding(input, weight)
    sums = weight.new_zeros(count, weight.shape[1])
    if mode == "max":
        index = bags[:, None].expand_as(rows)
        return sums.scatter_reduce(0, index, rows, "amax", include_self=False)
    sums = sums.index_add(0, bags, rows * shares[:, None])
    if mode == "sum":
        return sums
    return sums / torch.bincount(bags, minlength=count).clamp(min=1)[:, None].to(sums.dtype)


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """min(1, max(0, x/6 + 1/2)); what is to be written to is left as it is, which changes no value."""
    return F.relu6(input + 3.0) / 6.0


def _cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """The p-norms (..., P, R) of x1 (..., P, M) − x2 (..., R, M)."""
    apart = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    same = (apart == 0).all(-1)  # where a norm has no derivative; torch's is zero
    norms: Tensor = torch.linalg.vector_norm(apart.masked_fill(same[..., None], 1.0), p, dim=-1)
    return norms.masked_fill(same, 0.0)


def _multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """(1/C) w_y Σ max(0, m − x_y + x_c)ᵖ over the classes c ≠ y of x (B, C) or (C,)."""
    if size_average is not None or reduce is not None:
        return F.multi_margin_loss(input, target, p, margin, weight, size_average, reduce, reduction)
    y = target.unsqueeze(-1)
    rises = (margin - input.gather(-1, y) + input).clamp(min=0)
    if p == 2:
        rises = rises * rises
    if weight is not None:
        rises = rises * weight[y]
    right = torch.zeros_like(input, dtype=torch.bool).scatter(-1, y, True)
    losses = rises.masked_fill(right, 0.0).sum(-1) / input.shape[-1]
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


FORMULAS: dict[Any, Callable[..., Tensor]] = {
    F.embedding_bag: _embedding_bag,
    F.hardsigmoid: _hardsigmoid,
    F.multi_margin_loss: _multi_margin_loss,
    torch.cdist: _cdist,
    torch._weight_norm: _weight_norm,
}
"""By what they stand for."""

"""Balls of ℓ∞ and ℓ2 around images: sizes, steepest directions, projections, points drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

from landscape.core.linalg.reductions import norms

__all__ = ["Norm", "dual_size", "each", "project", "size", "steepest", "uniform"]

Norm = Literal["linf", "l2"]


def each(values: Tensor, like: Tensor) -> Tensor:
    """Numbers of images (B,) in a shape that multiplies the images ``like`` (B, ...)."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))


def size(delta: Tensor, norm: Norm) -> Tensor:
    """The norm of each perturbation (B, ...), (B,)."""
    flat = delta.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else norms(flat)


def dual_size(gradient: Tensor, norm: Norm) -> Tensor:
    """The dual norm of each gradient (B, ...), (B,): the most it gains along a perturbation of norm 1."""
    flat = gradient.flatten(1)
    return flat.abs().sum(1) if norm == "linf" else norms(flat)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """The perturbation of norm 1 along which each gradient (B, ...) gains most; zero for a zero gradient."""
    if norm == "linf":
        return gradient.sign()
    lengths = norms(gradient.flatten(1))
    return gradient / each(lengths.where(lengths > 0, 1.0), gradient)


def project(delta: Tensor, radius: Tensor, norm: Norm) -> Tensor:
    """The nearest perturbations (B, ...) of norm at most ``radius`` (B,)."""
    if norm == "linf":
        bound = each(radius, delta)
        return torch.minimum(torch.maximum(delta, -bound), bound)
    lengths = norms(delta.flatten(1))
    shrink = (radius / lengths.where(lengths > 0, 1.0)).clamp(max=1.0)
    return delta * each(shrink, delta)


def uniform(shape: Sequence[int], radius: float, norm: Norm, generator: Generator) -> Tensor:
    """Perturbations drawn uniformly from the ball, float64 on the CPU so that no device decides them."""
    if norm == "linf":
        return radius * (2.0 * torch.rand(tuple(shape), generator=generator, dtype=torch.float64) - 1.0)
    draw = torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
    length = torch.rand(shape[0], generator=generator, dtype=torch.float64) ** (1.0 / draw[0].numel())
    return steepest(draw, "l2") * each(radius * length, draw)

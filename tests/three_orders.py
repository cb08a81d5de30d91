"""Tensors to differentiate by, and derivatives of three orders of a layer on them."""

from __future__ import annotations

import torch
from cases import generator


def tensors(*shapes, seed=0):
    g = generator(seed)
    return [torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes]


def wave(y):
    return (y.sin() * torch.arange(1.0, y.numel() + 1, dtype=y.dtype).cos().view(y.shape)).sum()


def derivatives(layer, inputs):
    """Value, gradient, a product with the Hessian, and a gradient of that: three orders."""
    y = layer(*inputs)
    first = torch.autograd.grad(wave(y), inputs, create_graph=True)
    second = torch.autograd.grad(sum(wave(g) for g in first), inputs, create_graph=True)
    third = torch.autograd.grad(sum(wave(g) for g in second), inputs)
    return [y, *first, *second, *third]

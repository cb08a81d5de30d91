"""Curvature of the loss as a function of the image, as operators: one product serves a whole batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.curvature.double_backward import twice_differentiable, unread_gradient
from landscape.core.inputs.attacks import Logits
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import norms

__all__ = ["FisherSpectrum", "InputFisher", "InputHessian", "exact_fisher"]


class _OfImages(SymmetricOperator):
    """A block-diagonal operator with one block for each image: examples do not depend on one another.

    Vectors hold the images one after another, so that the product with one vector (B·D,) is the product of
    each image's block with that image's part of it. `blocks` takes and gives them as (B, D).
    """

    def __init__(self, pixels: Tensor) -> None:
        super().__init__(pixels.numel(), pixels.dtype, pixels.device)
        self.images = len(pixels)

    def blocks(self, vectors: Tensor) -> Tensor:
        """The product of each image's block with a vector of its own: (B, D) to (B, D)."""
        return (self @ vectors.reshape(-1)).reshape(self.images, -1)


class InputHessian(_OfImages):
    """The Hessian of the loss by the pixels of its image, for a batch of images.

    Args:
        losses: Pixels (B, C, H, W) to losses (B,).
        pixels: The images.

    Attributes:
        images: B.
        gradient: The gradient of each image's loss, (B, C, H, W).
    """

    def __init__(self, losses: Callable[[Tensor], Tensor], pixels: Tensor) -> None:
        super().__init__(pixels)
        with twice_differentiable():
            self._at = pixels.detach().requires_grad_(True)
            total = losses(self._at).sum()
            self._slope: Tensor | None = None
            if total.requires_grad:
                (self._slope,) = torch.autograd.grad(total, [self._at], create_graph=True, allow_unused=True)
        flat = torch.zeros_like(pixels) if self._slope is None else self._slope
        self.gradient = flat.detach()

    def _apply(self, V: Tensor) -> Tensor:
        if self._slope is None or not self._slope.requires_grad:
            return torch.zeros_like(V)
        columns = []
        for column in V.unbind(1):
            (product,) = torch.autograd.grad(
                self._slope, [self._at], column.reshape(self._at.shape), retain_graph=True, allow_unused=True
            )
            columns.append(torch.zeros_like(column) if product is None else product.reshape(-1))
        return torch.stack(columns, 1)


class InputFisher(_OfImages):
    """The Fisher matrix F = Jᵀ(diag p − ppᵀ)J of the predicted classes about the image, for a batch.

    J is the derivative of the logits by the pixels and p = softmax of the logits. F is half the second
    derivative of KL(p(x) ‖ p(x + d)) in d, times two: KL ≈ ½ dᵀFd; labels do not enter.

    Args:
        logits: Pixels (B, C, H, W) to logits (B, K).
        pixels: The images.

    Attributes:
        images: B.

    Reference:
        Miyato et al. (2018), Virtual adversarial training, equation 7: their H is this matrix.
    """

    def __init__(self, logits: Logits, pixels: Tensor) -> None:
        super().__init__(pixels)
        with twice_differentiable(adjoint=True):
            self._at = pixels.detach().requires_grad_(True)
            self._logits = logits(self._at)
            self._p = self._logits.detach().softmax(1)
            # The gradient Jᵀu is linear in u, so that its own derivative along v by u is Jv.
            self._u = torch.zeros_like(self._logits, requires_grad=True)
            self._back: Tensor | None = None
            if self._logits.requires_grad:
                (self._back,) = unread_gradient(self._logits, [self._at], self._u)

    def _apply(self, V: Tensor) -> Tensor:
        if self._back is None:
            return torch.zeros_like(V)
        columns = []
        for column in V.unbind(1):
            (tangent,) = torch.autograd.grad(
                self._back, [self._u], column.reshape(self._at.shape), retain_graph=True
            )
            weighed = self._p * (tangent - (self._p * tangent).sum(1, keepdim=True))
            (product,) = torch.autograd.grad(self._logits, [self._at], weighed, retain_graph=True)
            columns.append(product.reshape(-1))
        return torch.stack(columns, 1)


@dataclass(frozen=True)
class FisherSpectrum:
    """The input-space Fisher matrix of each image, from its eigenvalues.

    Attributes:
        values: Eigenvalues, largest first, (B, k), float64.
        vectors: Eigenvectors of the largest, of norm 1, (B, C, H, W); zero where the matrix is.
        trace: Sum of all, (B,).
        square: Sum of their squares, (B,).
    """

    values: Tensor
    vectors: Tensor
    trace: Tensor
    square: Tensor

    @property
    def rank(self) -> Tensor:
        """Effective rank tr²/‖F‖², (B,): how many directions share the trace; NaN for a zero matrix."""
        return self.trace.square() / self.square


def exact_fisher(logits: Tensor, gradients: Tensor, count: int = 1) -> FisherSpectrum:
    """The Fisher matrix of each image from the gradients of its logits.

    F = AᵀA with A = (diag √p − √p pᵀ) J, so that its eigenvalues are those of the K × K matrix AAᵀ, and at
    most K − 1 of them are not zero.

    Args:
        logits: (B, K).
        gradients: Of each logit by the pixels (B, K, C, H, W), of `class_gradients`.
        count: How many eigenvalues to return; those beyond the K-th are zero.
    """
    p = logits.double().softmax(1)
    jacobian = gradients.double().flatten(2)
    factor = p.sqrt()[:, :, None] * (jacobian - (p[:, :, None] * jacobian).sum(1, keepdim=True))
    gram = factor @ factor.mT
    if not bool(gram.isfinite().all()):  # no eigenvalues: NaN stays NaN, and the others are computed
        bad = ~gram.isfinite().flatten(1).all(1)
        found = exact_fisher(
            logits.where(~bad[:, None], 0.0), gradients.where(~bad.view(-1, 1, 1, 1, 1), 0.0), count
        )
        hole = torch.where(bad, torch.nan, 0.0).double()
        return FisherSpectrum(
            found.values + hole[:, None],
            found.vectors,
            found.trace + hole,
            found.square + hole,
        )
    values, basis = torch.linalg.eigh(gram)
    values, top = values.flip(1).clamp(min=0.0), basis[:, :, -1]
    vectors = (top[:, None] @ factor)[:, 0]
    lengths = norms(vectors, keepdim=True)
    vectors = vectors / lengths.where(lengths > 0, 1.0)
    padded = torch.nn.functional.pad(values, (0, max(0, count - values.shape[1])))[:, :count]
    shape = gradients.shape[0], *gradients.shape[2:]
    return FisherSpectrum(
        padded,
        vectors.reshape(shape),
        gram.diagonal(dim1=1, dim2=2).sum(1),
        gram.square().sum((1, 2)),
    )

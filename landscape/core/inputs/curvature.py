"""Gradient, Fisher matrix and Hessian of the loss as a function of each image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.inputs.attacks import class_gradients, margins
from landscape.core.inputs.image_lanczos import image_eigenvalues
from landscape.core.inputs.images import Images
from landscape.core.inputs.operators import FisherSpectrum, InputFisher, InputHessian, exact_fisher
from landscape.core.inputs.robustness import image_generator
from landscape.core.linalg.reductions import norms

__all__ = ["MOST_CLASSES", "image_curvature"]

Array = NDArray[np.float64]

MOST_CLASSES = 64
"""With more classes the Fisher matrix is known by products and Lanczos, not by a gradient for each class."""


def image_curvature(
    images: Images,
    *,
    count: int = 1,
    hessian: bool = True,
    tolerance: float = 1e-3,
    most: int = 100,
    probes: int = 8,
    seed: int = 0,
    on_step: Callable[[float], None] = lambda share: None,
) -> dict[str, Array]:
    """Curvature of the loss at each of B images, by pixels.

    Args:
        images: The images.
        count: How many of the largest eigenvalues.
        hessian: Whether to work out the Hessian; else its numbers are NaN.
        tolerance: Of Lanczos residuals, relative to the largest |eigenvalue|.
        most: Most products with each matrix.
        probes: Random vectors for the trace of the Hessian.
        seed: Of starting vectors and probes.
        on_step: Told the share of the work that is done.

    Returns:
        By name, arrays (B,): ``loss``, ``margin``, ``gradient_norm``, ``gradient_l1``, ``distance``,
        ``fisher_top``, ``fisher_trace``, ``fisher_rank``, ``hessian_top``, ``hessian_bottom``,
        ``hessian_trace``, ``residual``, ``converged``, ``same`` (the last two as 0 or 1); and
        ``fisher_values`` and ``hessian_values`` (B, count).
    """
    pixels, labels = images.pixels, images.labels
    with torch.no_grad():
        classes = images.take(torch.tensor([0]))(pixels[:1]).shape[1]
    size = pixels[0].numel()
    found = _fisher(images, classes, min(count, size), tolerance, most, seed)
    on_step(0.3)
    data = {
        **_slopes(images, pixels, labels),
        "fisher_top": found.values[:, 0],
        "fisher_values": torch.nn.functional.pad(found.values, (0, count - found.values.shape[1])),
        "fisher_trace": found.trace,
        "fisher_rank": found.rank,
    }
    hole = torch.full((len(labels),), torch.nan, dtype=torch.float64)
    if hessian:
        data |= _hessian(images, found, data, count, tolerance, most, probes, seed)
    else:
        data |= dict.fromkeys(
            ("hessian_top", "hessian_bottom", "hessian_trace", "residual", "bottom_residual"), hole
        )
        data |= {"hessian_values": hole[:, None].expand(-1, count), "converged": torch.ones(len(labels))}
        data |= {"same": torch.zeros(len(labels))}
    on_step(1.0)
    return {name: value.detach().double().cpu().numpy() for name, value in data.items()}


def _slopes(images: Images, pixels: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Loss, margin, and their gradients' norms."""
    at = pixels.detach().requires_grad_(True)
    losses = images.losses(at)
    slope = _gradient(losses, at)
    gap = margins(images(at), labels)
    length = norms(_gradient(gap, at))
    return {
        "loss": losses,
        "margin": gap,
        "gradient_norm": norms(slope),
        "gradient_l1": slope.abs().sum(1),
        "distance": (gap / length).detach(),
    }


def _gradient(values: Tensor, at: Tensor) -> Tensor:
    """The gradient of each value by its own image, (B, D)."""
    if not values.requires_grad:
        return torch.zeros_like(at).flatten(1)
    (gradient,) = torch.autograd.grad(values.sum(), [at], allow_unused=True)
    return (torch.zeros_like(at) if gradient is None else gradient).flatten(1)


def _fisher(
    images: Images, classes: int, count: int, tolerance: float, most: int, seed: int
) -> FisherSpectrum:
    """The Fisher matrix: exact for few classes, by Lanczos and probes of its factor for many."""
    pixels = images.pixels
    if classes <= MOST_CLASSES:
        return exact_fisher(*class_gradients(images, pixels), count)
    operator = InputFisher(images, pixels)
    ends = image_eigenvalues(
        operator.blocks, _draws(images, seed, 1), count=count, tolerance=tolerance, most=most
    )
    # tr F = E ‖F^½ u‖² = E uᵀFu, and ‖F‖² = E ‖Fu‖², for random signs u
    trace, square = torch.zeros(len(pixels)).double(), torch.zeros(len(pixels)).double()
    number = 32
    for probe in range(number):
        signs = _draws(images, seed, 2 + probe).sign()
        moved = operator.blocks(signs)
        trace += (signs * moved).sum(1).double().cpu() / number
        square += moved.double().square().sum(1).cpu() / number
    return FisherSpectrum(ends.top.cpu(), ends.vectors.reshape(pixels.shape).cpu(), trace, square)


def _hessian(
    images: Images,
    fisher: FisherSpectrum,
    data: dict[str, Tensor],
    count: int,
    tolerance: float,
    most: int,
    probes: int,
    seed: int,
) -> dict[str, Tensor]:
    """Ends of the spectrum of the Hessian and its trace."""
    pixels = images.pixels
    operator = InputHessian(images.losses, pixels)
    vectors = _draws(images, seed, 1)
    along = InputFisher(images, pixels).blocks(vectors)
    gap = norms(operator.blocks(vectors) - along)
    # Pieces of linear logits leave nothing but rounding, which is relative to the largest eigenvalue.
    reach = fisher.values[:, 0].to(gap.device) * norms(vectors)
    rounding = (100.0 if pixels.dtype == torch.float64 else 20.0) * torch.finfo(pixels.dtype).eps
    same = gap <= rounding * reach
    zeros = torch.zeros(len(pixels), dtype=torch.float64)
    if bool(same.all()):
        return {
            "hessian_top": fisher.values[:, 0],
            "hessian_values": data["fisher_values"],
            "hessian_bottom": zeros,
            "hessian_trace": fisher.trace,
            "residual": gap.double() / norms(vectors),
            "bottom_residual": zeros,
            "converged": torch.ones(len(pixels)),
            "same": same,
        }
    size = pixels[0].numel()
    ends = image_eigenvalues(operator.blocks, vectors, count=min(count, size), tolerance=tolerance, most=most)
    trace = zeros
    for probe in range(probes):
        signs = _draws(images, seed, 100 + probe).sign()
        trace = trace + (signs * operator.blocks(signs)).sum(1).double().cpu() / probes
    values = torch.nn.functional.pad(ends.top, (0, count - ends.top.shape[1]))
    return {
        "hessian_top": ends.top[:, 0],
        "hessian_values": values,
        "hessian_bottom": ends.bottom,
        "hessian_trace": trace,
        "residual": ends.residual,
        "bottom_residual": ends.bottom_residual,
        "converged": ends.converged,
        "same": same,
    }


def _draws(images: Images, seed: int, stream: int) -> Tensor:
    """Standard normal numbers for each image (B, D): those of the image, not of its batch."""
    size = images.pixels[0].numel()
    rows = [
        torch.randn(size, generator=image_generator(seed, stream, int(n)), dtype=torch.float64)
        for n in images.numbers
    ]
    return torch.stack(rows).to(images.pixels)

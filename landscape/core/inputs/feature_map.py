"""How a network carries distances between inputs over to its features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from landscape.core.curvature.double_backward import twice_differentiable, unread_gradient
from landscape.core.data.batches import Batch
from landscape.core.features.hooks import first_tensor
from landscape.core.inputs.image_lanczos import image_eigenvalues
from landscape.core.problem.batchnorm import running_layers
from landscape.core.problem.problem import Problem
from landscape.core.weights.map_norm import map_norm
from landscape.errors import InputError, suggest

__all__ = ["FeatureMap", "JacobianEnds", "jacobian_ends", "layer_norms", "nearest"]

ROWS = 512
"""Points whose distances to all others are in memory at a time."""


@dataclass(frozen=True)
class FeatureMap:
    """The features of a layer as a function of the inputs alone.

    Attributes:
        problem: Whose model it is.
        layer: What the layer of this name puts out; empty for what the last layer with weights reads, or for
            what a part of the model names in its attribute ``feature_layer``.
    """

    problem: Problem
    layer: str = ""

    def __post_init__(self) -> None:
        if self.problem.batchnorm == "batch" and running_layers(self.problem.module):
            raise InputError(
                "with batchnorm='batch' features of an input depend on the others of its batch; take"
                " batchnorm='checkpoint'."
            )
        names = dict(self.problem.module.named_modules())
        if self.layer and self.layer not in names:
            raise InputError(f"there is no layer '{self.layer}'; {suggest(self.layer, names)}")

    def __call__(self, batch: Batch, inputs: Tensor | None = None) -> Tensor:
        """Features (B, F) of a batch, or of other inputs in the place of its own.

        Raises:
            InputError: If the inputs are no tensor, or the layer gives none.
        """
        own = inputs_of(batch)
        if inputs is not None:
            batch = batch.replace(own, inputs.to(own.dtype))
        with self._watching() as found:
            self.problem.output(batch)
        features = found[-1] if found else None
        if features is None or not features.is_floating_point() or len(features) != batch.size:
            raise InputError(
                f"layer '{self.layer}' gives no features, one row for each example"
                if self.layer
                else f"{type(self.problem.module).__name__} has no last layer that reads features; name one."
            )
        return features.flatten(1) if torch.is_grad_enabled() else features.detach().flatten(1)

    @contextmanager
    def _watching(self) -> Iterator[list[Tensor | None]]:
        """Within it, the tensors that may be the features gather, those of the layer last."""
        found: list[Tensor | None] = []
        module = self.problem.module
        layer = self.layer or _named_by_itself(module)
        if layer:
            watched = [module.get_submodule(layer)]
            handles = [
                part.register_forward_hook(lambda _, __, output: found.append(first_tensor(output)))
                for part in watched
            ]
        else:
            # of a layer with a parametrisation the weights are in a part that reads no features
            watched = [
                part
                for part in module.modules()
                if not isinstance(part, parametrize.ParametrizationList)
                and (
                    next(part.parameters(recurse=False), None) is not None
                    or parametrize.is_parametrized(part)
                )
            ]
            handles = [
                part.register_forward_pre_hook(lambda _, read: found.append(first_tensor(read)))
                for part in watched
            ]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()


def _named_by_itself(module: nn.Module) -> str:
    """The layer that the module, or one within it, says its features come from; empty if none does."""
    for name, part in module.named_modules():
        own = getattr(part, "feature_layer", "")
        if isinstance(own, str) and own:
            return f"{name}.{own}" if name else own
    return ""


def inputs_of(batch: Batch) -> Tensor:
    """The one tensor of numbers that a model gets.

    Raises:
        InputError: If it gets something else.
    """
    inputs = batch.inputs
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        raise InputError("distances between inputs need inputs that are one tensor of numbers.")
    return inputs


def nearest(points: Tensor, others: Tensor) -> Tensor:
    """Distance of each point (N, D) to the nearest of the others (M, D), (N,), float64.

    Without the expansion of the square, which would lose what is near.
    """
    rest = others.double()
    parts = [
        torch.cdist(part.double(), rest, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        for part in torch.split(points, ROWS)
    ]
    return torch.cat(parts)


@dataclass(frozen=True)
class JacobianEnds:
    """Extreme singular values of the Jacobian ∂h/∂x at each point.

    Attributes:
        largest: (B,), float64.
        smallest: The min(D, F)-th (B,).
        resolved: Whether the residual of the smallest is small against itself, (B,).
    """

    largest: Tensor
    smallest: Tensor
    resolved: Tensor


def jacobian_ends(features: FeatureMap, batch: Batch, *, most: int = 200, seed: int = 0) -> JacobianEnds:
    """Extreme singular values of the Jacobian of the features by the inputs, by Lanczos on JJᵀ or JᵀJ.

    The smaller of the two is taken, so that the smallest singular value is that of full rank. Up to `most`
    features or inputs it is exact to rounding of the products.

    Args:
        features: The features.
        batch: The points; they do not depend on one another.
        most: Products.
        seed: Of the starting vectors.
    """
    with twice_differentiable(adjoint=True):
        at = inputs_of(batch).detach().clone().requires_grad_(True)
        h = features(batch, at)
        if not h.requires_grad:
            raise InputError("the features do not depend on the inputs in a way that can be differentiated.")
        # Jᵀu is linear in u, so that its own derivative along v by u is Jv
        u = torch.zeros_like(h, requires_grad=True)
        (back,) = unread_gradient(h, [at], u)
        assert back is not None

    def forward(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(back, u, v.reshape(at.shape), retain_graph=True)
        return product

    def backward(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(h, at, v, retain_graph=True)
        return product.flatten(1)

    wide = h.shape[1] <= at[0].numel()
    size = min(h.shape[1], at[0].numel())

    def product(v: Tensor) -> Tensor:
        return forward(backward(v)) if wide else backward(forward(v))

    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(len(h), size, generator=generator).to(h)
    found = image_eigenvalues(product, start, tolerance=1e-8, most=most)
    top, bottom = found.top[:, 0].clamp(min=0.0), found.bottom.clamp(min=0.0)
    # products in float32 are rounded by about that much
    rounding = 10.0 * torch.finfo(h.dtype).eps * top
    resolved = found.bottom_residual.abs() + rounding <= 0.1 * bottom
    return JacobianEnds(top.sqrt(), bottom.sqrt(), resolved if found.steps < size else bottom >= rounding)


@torch.no_grad()
def layer_norms(module: nn.Module, call: Callable[[], object], *, tol: float = 1e-6) -> dict[str, float]:
    """The spectral norm of every linear layer and convolution that a call reaches, in firing order.

    Of a convolution it is that of the map of whole pictures, padding and stride included; of a weight with a
    parametrisation that of what the layer multiplies by.

    Args:
        module: The network, in eval mode.
        call: Calls it.
        tol: As `landscape.core.weights.map_norm.map_norm`.
    """
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def fired(_: nn.Module, read: tuple[Tensor, ...]) -> None:
            shapes.setdefault(name, tuple(read[0].shape[1:]))

        return fired

    layers = {name: part for name, part in module.named_modules() if isinstance(part, kinds)}
    handles = [part.register_forward_pre_hook(note(name)) for name, part in layers.items()]
    try:
        call()
    finally:
        for handle in handles:
            handle.remove()
    norms: dict[str, float] = {}
    for name, shape in shapes.items():
        layer = layers[name]
        if isinstance(layer, nn.Linear):
            norms[name] = float(torch.linalg.matrix_norm(layer.weight.double(), 2))
        else:
            norms[name] = map_norm(layer, shape, tol=tol)[0]
    return norms

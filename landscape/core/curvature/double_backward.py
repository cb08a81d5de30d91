"""Layers prepared for being differentiated twice: right where torch is wrong, quick where it is slow.

Convolutions, linear layers and BatchNorm carry most of the cost of a Hessian product. Torch derives second
derivatives of convolution and BatchNorm from generic operations; here they are written out with the kernels
that make the first derivatives quick. Values are the same up to rounding.

Of a gradient that is only differentiated further, as those of products are, nobody reads the entries. What
the parameters' gradients would cost, a third of a gradient, is then left out: `unread_gradient`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from landscape.core.curvature.activation_derivatives import ACTIVATIONS
from landscape.core.curvature.layer_derivatives import LAYERS, Stage
from landscape.core.curvature.layer_formulas import FORMULAS

__all__ = ["twice_differentiable", "unread_gradient"]

_stage: ContextVar[Stage | None] = ContextVar("landscape_stage", default=None)


def unread_gradient(
    outputs: Tensor, inputs: Sequence[Tensor], vectors: Tensor | None = None
) -> Sequence[Tensor | None]:
    """As `torch.autograd.grad` with ``create_graph``, of which the graph is right but not the entries.

    Args:
        outputs: What is differentiated, made within `twice_differentiable`; of an adjoint's, linear in the
            vector, the derivative is taken at zero.
        inputs: By which; ``None`` comes for those that it does not depend on.
        vectors: The vector shaped as the outputs, zero; ``None`` for a scalar.
    """
    stage = _stage.get()
    if stage is not None:
        stage.unread = True
    try:
        return torch.autograd.grad(outputs, inputs, vectors, create_graph=True, allow_unused=True)
    finally:
        if stage is not None:
            stage.unread = False


@contextmanager
def twice_differentiable(*, adjoint: bool = False) -> Iterator[None]:
    """Within it, gradients are on and layers have right second derivatives.

    Fused attention, bags of embeddings, distances, the hard sigmoid and multi-margin losses have none, so the
    maths kernel and formulas are used; so is the formula of weight normalisation, where torch's kernel has
    a wrong one.

    Args:
        adjoint: Whether a gradient taken within it is only differentiated by the vector it starts from, in
            which it is linear, as for Jacobian-vector products; saves what the parameters would need.
    """
    stage = Stage(adjoint)
    token = _stage.set(stage)
    try:
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _Replace(stage):
            yield
    finally:
        _stage.reset(token)


_PREPARED = LAYERS | ACTIVATIONS


class _Replace(TorchFunctionMode):
    """Calls other functions in place of torch's."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        layer = _PREPARED.get(func)
        call = FORMULAS.get(func, func) if layer is None else partial(layer, self._stage)
        return call(*args, **(kwargs or {}))

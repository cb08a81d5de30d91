"""Layers prepared for being differentiated twice: right where torch is wrong, quick where it is slow.

Convolutions, linear layers and BatchNorm carry most of the cost of a Hessian product. Torch derives second
derivatives of convolution and BatchNorm from generic operations; here they are written out with the kernels
that make the first derivatives quick. Values are the same up to rounding.

Of a gradient that is only differentiated further, as those of products are, nobody reads the entries. What
the parameters' gradients would cost, a third of a gradient, is then left out: `unread_gradient`.

So are the slopes of ReLUs in an adjoint, each of which would be a map of zeros: a tenth of a Gauss-Newton
product. Where a gradient is differentiated by the parameters too, as for Hessian products, torch's own ReLU
is left: one without the map of zeros that is torch's second derivative by the input made products 3 to 5 %
slower.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.autograd import Function
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from landscape.core.curvature.layer_derivatives import LAYERS, Stage, unentered
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


# ReLU in an adjoint


def _relu(stage: Stage, input: Tensor, inplace: bool = False) -> Tensor:
    """A replacement of ``F.relu``; left to torch is one that writes to its input, which others may read."""
    if not stage.adjoint or inplace or input.layout is not torch.strided or not input.is_floating_point():
        return F.relu(input, inplace)
    return _ReLU.apply(input, stage)  # type: ignore[no-any-return, no-untyped-call]


class _ReLU(Function):
    """y = max(x, 0)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, stage: Stage) -> Tensor:
        return torch.relu(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, ctx.stage = inputs
        ctx.save_for_backward(output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None) -> Any:
        if g is None:
            return None, None
        (y,) = ctx.saved_tensors
        (unread,) = ctx.stage.unread_of(())
        return _ReLUBackward.apply(g, y.detach(), unread), None  # type: ignore[no-untyped-call]


class _ReLUBackward(Function):
    """g where y > 0, else 0: linear in g, and its own adjoint."""

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, y: Tensor, unread: bool) -> Tensor:
        if unread:
            return unentered(g, y.shape)
        return torch.ops.aten.threshold_backward(g, y, 0)  # type: ignore[no-any-return]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, y, _ = inputs
        ctx.save_for_backward(y)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, u: Tensor | None) -> Any:
        if u is None:
            return None, None, None
        (y,) = ctx.saved_tensors
        return _ReLUBackward.apply(u, y, False), None, None  # type: ignore[no-untyped-call]


_PREPARED = LAYERS | dict.fromkeys((F.relu, torch.relu, torch.Tensor.relu), _relu)


class _Replace(TorchFunctionMode):
    """Calls other functions in place of torch's."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        layer = _PREPARED.get(func)
        call = FORMULAS.get(func, func) if layer is None else partial(layer, self._stage)
        return call(*args, **(kwargs or {}))

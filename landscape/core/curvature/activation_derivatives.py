"""ReLU in an adjoint of which nobody reads the entries: none are computed.

Torch would make a map of slopes times zeros for each ReLU, a tenth of a Gauss-Newton product. Values are the
same bits. Where a gradient is differentiated by the parameters too, as for Hessian products, torch's own is
left: this one saves the map of zeros that is torch's second derivative by the input, but products took 3 to
5 % longer (ResNet-20, 32 images, three rounds).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.autograd import Function

from landscape.core.curvature.layer_derivatives import Stage, unentered

__all__ = ["ACTIVATIONS"]


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


ACTIVATIONS: dict[Any, Callable[..., Tensor]] = dict.fromkeys((F.relu, torch.relu, torch.Tensor.relu), _relu)
"""By what they stand for; each is given the stage first."""

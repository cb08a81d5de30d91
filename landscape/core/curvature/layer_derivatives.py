"""Convolutions, linear layers and BatchNorm with first and second derivatives written out.

Their second derivatives use the kernels that make the first ones quick, and gradients that nobody reads are
not computed. Values are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.autograd import Function

from landscape.core.data.trees import plain
from landscape.core.problem.memory_layout import is_unsound

__all__ = ["LAYERS", "Stage", "unentered"]

Geometry = tuple[list[int], list[int], list[int], int]
"""Stride, padding, dilation, groups."""


@dataclass
class Stage:
    """What the layers of one forward pass are differentiated for.

    Attributes:
        adjoint: Whether the gradient is linear in a vector, and differentiated by that alone.
        unread: Whether the gradient that is being taken is differentiated further and not read.
    """

    adjoint: bool
    unread: bool = False

    def unread_of(self, leaves: Sequence[bool]) -> tuple[bool, ...]:
        """Which gradients need no entries, that by the input first; a parameter's goes nowhere else.

        Args:
            leaves: Of each parameter, whether it is a leaf and not made of others, whose gradients its own
                would enter.
        """
        if (
            not self.unread or not torch.is_grad_enabled()
        ):  # with gradients off, a gradient is there to be read
            return (False,) * (1 + len(leaves))
        # An adjoint is taken at the vector zero, where all gradients are zero.
        return (True,) * (1 + len(leaves)) if self.adjoint else (False, *leaves)


def unentered(like: Tensor, shape: Sequence[int]) -> Tensor:
    """A gradient without entries of its own: one zero for all, at no cost."""
    return like.new_zeros(()).expand(shape)


def _saved(ctx: Any) -> tuple[Tensor, ...]:
    """Saved tensors; as constants if only the adjoint is requested."""
    tensors: tuple[Tensor, ...] = ctx.saved_tensors
    return tuple(t.detach() for t in tensors) if ctx.stage.adjoint else tensors


# Convolution


def _convolution(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A replacement of torch.conv1d, conv2d or conv3d."""

    def convolution(
        stage: Stage,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor:
        # Left to torch: "same" padding, which may be uneven; unbatched inputs; and autocast, which would
        # have to choose the dtype of what is saved.
        if isinstance(padding, str) or input.ndim != weight.ndim or _is_cast(input):
            return original(input, weight, bias, stride, padding, dilation, groups)
        axes = input.ndim - 2
        geometry = (_each(stride, axes), _each(padding, axes), _each(dilation, axes), groups)
        return _Convolution.apply(input, weight, bias, geometry, stage)  # type: ignore[no-any-return, no-untyped-call]

    return convolution


def _is_cast(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


def _each(value: int | Sequence[int], axes: int) -> list[int]:
    # torch takes a sequence of one for all axes, too
    return [value] * axes if isinstance(value, int) else [*value] * (axes // len(value))


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    stride, padding, dilation, groups = geometry
    zeros = [0] * len(stride)
    return torch.ops.aten.convolution(  # type: ignore[no-any-return]
        x, weight, bias, stride, padding, dilation, False, zeros, groups
    )


def _backward(
    g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, output_mask: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients by input, weight and bias of a convolution whose output has gradient ``g``."""
    stride, padding, dilation, groups = geometry
    zeros, channels = [0] * len(stride), [weight.shape[0]]
    if is_unsound(weight, stride, groups):  # tangents come in whatever layout they were computed in
        x, weight = plain(x), plain(weight)
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        g, x, weight, channels, stride, padding, dilation, False, zeros, groups, output_mask
    )


class _Convolution(Function):
    """y = W ∗ x + b."""

    generate_vmap_rule = True  # torch.func transforms may run over it

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, stage: Stage) -> Tensor:
        return _convolve(x, weight, bias, geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, weight, bias, ctx.geometry, ctx.stage = inputs
        ctx.leaves = _are_leaves(weight, bias)
        ctx.save_for_backward(x, weight)
        # Gradients that nobody asked for come as None instead of zeros, which would cost a convolution each.
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None) -> Any:
        if g is None:
            return (None,) * 5
        x, weight = _saved(ctx)
        unread = ctx.stage.unread_of(ctx.leaves)
        grads = _ConvolutionBackward.apply(g, x, weight, ctx.geometry, ctx.needs_input_grad[:3], unread)  # type: ignore[no-untyped-call]
        return *grads, None, None


class _ConvolutionBackward(Function):
    """The gradients of a convolution by x, W and b, themselves bilinear: convolutions again.

    Forward gives Wᵀg, x ⋆ g and Σg (⋆ correlates). For vectors u, V, c that these three meet later,
    ⟨u, Wᵀg⟩ + ⟨V, x ⋆ g⟩ + ⟨c, Σg⟩ = ⟨W ∗ u + V ∗ x + c, g⟩, whose gradients are
    by g: W ∗ u + V ∗ x + c;  by x: Vᵀg;  by W: u ⋆ g.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, output_mask: Any, unread: Any
    ) -> Any:
        read = _without(output_mask, unread)
        grads = _backward(g, x, weight, geometry, read) if any(read) else (None,) * 3
        return _filled(grads, g, (x.shape, weight.shape, weight.shape[:1]), output_mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        g, x, weight, ctx.geometry, *_ = inputs
        ctx.save_for_backward(g, x, weight)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, dx: Tensor | None, dW: Tensor | None, db: Tensor | None) -> Any:
        # u, V and c of the docstring are dx, dW and db; needs_input_grad counts (g, x, weight, ...).
        g, x, weight = ctx.saved_tensors
        by_g, by_x, by_weight = None, None, None
        if dx is not None:
            by_g = _convolve(dx, weight, db, ctx.geometry)  # c goes along as the bias, at no cost
            if ctx.needs_input_grad[2]:
                by_weight = _backward(g, dx, weight, ctx.geometry, (False, True, False))[1]
        if dW is not None:
            term = _convolve(x, dW, db if dx is None else None, ctx.geometry)  # c once only
            by_g = term if by_g is None else by_g + term
            if ctx.needs_input_grad[1]:
                by_x = _backward(g, x, dW, ctx.geometry, (True, False, False))[0]
        if by_g is None and db is not None:
            by_g = _channels(db, g).expand_as(g)
        return by_g, by_x, by_weight, None, None, None


# Linear layers


def _linear(stage: Stage, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A replacement of ``F.linear``."""
    sparse = weight.layout is not torch.strided or input.layout is not torch.strided
    if sparse or weight.ndim != 2 or not input.ndim or weight.dtype != input.dtype or _is_cast(input):
        return F.linear(input, weight, bias)
    return _Linear.apply(input, weight, bias, stage)  # type: ignore[no-any-return, no-untyped-call]


class _Linear(Function):
    """y = W x + b, over the last axis."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, stage: Stage) -> Tensor:
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, weight, bias, ctx.stage = inputs
        ctx.leaves = _are_leaves(weight, bias)
        ctx.save_for_backward(x, weight)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None) -> Any:
        if g is None:
            return (None,) * 4
        x, weight = _saved(ctx)
        unread = ctx.stage.unread_of(ctx.leaves)
        return *_LinearBackward.apply(g, x, weight, ctx.needs_input_grad[:3], unread), None  # type: ignore[no-untyped-call]


class _LinearBackward(Function):
    """The gradients of a linear layer by x, W and b: Wᵀg, g xᵀ and g, summed over all but the last axis.

    Bilinear as those of a convolution, and so are their gradients: see `_ConvolutionBackward`.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, x: Tensor, weight: Tensor, output_mask: Any, unread: Any) -> Any:
        by_x, by_weight, by_bias = _without(output_mask, unread)
        grads = (
            g @ weight if by_x else None,
            _rows(g).T @ _rows(x) if by_weight else None,
            _rows(g).sum(0) if by_bias else None,
        )
        return _filled(grads, g, (x.shape, weight.shape, weight.shape[:1]), output_mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        g, x, weight, *_ = inputs
        ctx.save_for_backward(g, x, weight)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, dx: Tensor | None, dW: Tensor | None, db: Tensor | None) -> Any:
        g, x, weight = ctx.saved_tensors
        by_g, by_x, by_weight = None, None, None
        if dx is not None:
            by_g = F.linear(dx, weight, db)
            if ctx.needs_input_grad[2]:
                by_weight = _rows(g).T @ _rows(dx)
        if dW is not None:
            term = F.linear(x, dW, db if dx is None else None)
            by_g = term if by_g is None else by_g + term
            if ctx.needs_input_grad[1]:
                by_x = g @ dW
        if by_g is None and db is not None:
            by_g = db.expand_as(g)
        return by_g, by_x, by_weight, None, None


def _rows(t: Tensor) -> Tensor:
    """All axes but the last as one."""
    return t.reshape(-1, t.shape[-1])


# What is common to all


def _are_leaves(*parameters: Tensor | None) -> tuple[bool, ...]:
    return tuple(p is not None and p.is_leaf for p in parameters)


def _without(output_mask: Sequence[bool], unread: Sequence[bool]) -> tuple[bool, bool, bool]:
    """Which of three gradients are asked for and read."""
    one, two, three = (asked and not left for asked, left in zip(output_mask, unread, strict=True))
    return one, two, three


def _filled(
    grads: Sequence[Tensor | None], like: Tensor, shapes: Sequence[Sequence[int]], output_mask: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """The gradients, with one that has no entries where it was asked for and not computed."""
    return tuple(
        unentered(like, shape) if asked and grad is None else grad
        for grad, shape, asked in zip(grads, shapes, output_mask, strict=True)
    )


# BatchNorm with running statistics


def _batch_norm(
    stage: Stage,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """A replacement of ``F.batch_norm``."""
    state = (running_mean, running_var, weight, bias)
    # Batch statistics depend on x and have derivatives of their own, which are left to torch; so is what
    # lacks affine parameters or mixes dtypes, as under autocast: the formulas below do not hold there.
    if training or any(t is None or t.dtype != input.dtype for t in state):
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return _BatchNorm.apply(input, *state, eps, stage)  # type: ignore[no-any-return, no-untyped-call]


def _channels(values: Tensor, like: Tensor) -> Tensor:
    """A vector (C,) shaped to meet (B, C, ...)."""
    return values.view(1, -1, *(1,) * (like.ndim - 2))


class _BatchNorm(Function):
    """y = w x̂ + b with x̂ = (x − m) r and r = 1/√(v + ε)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float, stage: Stage
    ) -> Tensor:
        return torch.batch_norm(x, weight, bias, mean, var, False, 0.0, eps, True)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, mean, var, weight, bias, ctx.eps, ctx.stage = inputs
        ctx.leaves = _are_leaves(weight, bias)
        ctx.save_for_backward(x, mean, var, weight)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None) -> Any:
        if g is None:
            return (None,) * 7
        x, mean, var, weight = _saved(ctx)
        by_x, _, _, by_weight, by_bias, *_ = ctx.needs_input_grad
        output_mask = (by_x, by_weight, by_bias)
        unread = ctx.stage.unread_of(ctx.leaves)
        gx, gw, gb = _BatchNormBackward.apply(g, x, mean, var, weight, ctx.eps, output_mask, unread)  # type: ignore[no-untyped-call]
        return gx, None, None, gw, gb, None, None


class _BatchNormBackward(Function):
    """Gradients of BatchNorm: g w r by x, Σ g x̂ by w, Σ g by b.

    For vectors u, v, c that these three meet later, the sum of their inner products is
    ⟨u w r + v x̂ + c, g⟩, whose gradients are by g: u w r + v x̂ + c;  by x: g v r;  by w: r Σ u g.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        g: Tensor,
        x: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor,
        eps: float,
        output_mask: Any,
        unread: Any,
    ) -> Any:
        read = _without(output_mask, unread)
        grads: Sequence[Tensor | None] = (None,) * 3
        if any(read):
            grads = torch.ops.aten.native_batch_norm_backward(
                g, x, weight, mean, var, None, None, False, eps, read
            )
            # torch gives empty tensors, or none, for what was not asked for
            grads = [grad if asked else None for grad, asked in zip(grads, read, strict=True)]
        return _filled(grads, g, (x.shape, weight.shape, weight.shape), output_mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        g, x, mean, var, weight, ctx.eps, *_ = inputs
        ctx.save_for_backward(g, x, mean, var, weight)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, dx: Tensor | None, dw: Tensor | None, db: Tensor | None) -> Any:
        g, x, mean, var, weight = ctx.saved_tensors
        r = (var + ctx.eps).rsqrt()
        by_g, by_x, by_weight = None, None, None
        # u, v and c of the docstring are dx, dw and db.
        if dw is not None:
            # v x̂ + c as one slope and one offset per channel, so that x is read once
            slope = dw * r
            offset = -slope * mean if db is None else db - slope * mean
            by_g = torch.addcmul(_channels(offset, x), x, _channels(slope, x))
            if ctx.needs_input_grad[1]:
                by_x = g * _channels(slope, x)
        elif db is not None:
            by_g = _channels(db, g).expand_as(g)
        if dx is not None:
            scale = _channels(weight * r, g)
            by_g = dx * scale if by_g is None else torch.addcmul(by_g, dx, scale)
            if ctx.needs_input_grad[4]:
                by_weight = (dx * g).sum([0, *range(2, g.ndim)]) * r
        return by_g, by_x, None, None, by_weight, None, None, None


LAYERS: dict[Any, Callable[..., Tensor]] = {
    **{f: _convolution(f) for f in (torch.conv1d, torch.conv2d, torch.conv3d)},
    F.linear: _linear,
    F.batch_norm: _batch_norm,
}
"""By what they stand for; each is given the stage first."""

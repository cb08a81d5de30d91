"""Layers prepared for being differentiated twice: right where torch is wrong, quick where it is slow.

Convolution and BatchNorm carry most of the cost of a Hessian product of a convolutional network. Torch
derives their second derivatives from generic operations; here they are written out with the kernels that
make the first derivatives quick. Values are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.autograd import Function
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from landscape.core.data.trees import plain
from landscape.core.problem.memory_layout import is_unsound

__all__ = ["twice_differentiable"]

Geometry = tuple[list[int], list[int], list[int], int]
"""Stride, padding, dilation, groups."""


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
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _Replace(_RULES[adjoint]):
        yield


class _Replace(TorchFunctionMode):
    """Calls other functions in place of torch's."""

    def __init__(self, rules: dict[Any, Callable[..., Tensor]]) -> None:
        super().__init__()
        self._rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._rules.get(func, func)(*args, **(kwargs or {}))


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


def _saved(ctx: Any) -> tuple[Tensor, ...]:
    """Saved tensors; as constants if only the adjoint is requested."""
    tensors: tuple[Tensor, ...] = ctx.saved_tensors
    return tuple(t.detach() for t in tensors) if ctx.adjoint else tensors


# Convolution


def _convolution(original: Callable[..., Tensor], adjoint: bool) -> Callable[..., Tensor]:
    """A replacement of torch.conv1d, conv2d or conv3d."""

    def convolution(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor:
        # Left to torch: "same" padding, which may be uneven; unbatched inputs; and autocast, which would
        # have to choose the dtype of what is saved.
        if isinstance(padding, str) or x.ndim != weight.ndim or torch.is_autocast_enabled(x.device.type):
            return original(x, weight, bias, stride, padding, dilation, groups)
        axes = x.ndim - 2
        geometry = (_each(stride, axes), _each(padding, axes), _each(dilation, axes), groups)
        return _Convolution.apply(x, weight, bias, geometry, adjoint)  # type: ignore[no-any-return, no-untyped-call]

    return convolution


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
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, adjoint: bool) -> Tensor:
        return _convolve(x, weight, bias, geometry)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, weight, _, ctx.geometry, ctx.adjoint = inputs
        ctx.save_for_backward(x, weight)
        # Gradients that nobody asked for come as None instead of zeros, which would cost a convolution each.
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None) -> Any:
        if g is None:
            return (None,) * 5
        x, weight = _saved(ctx)
        grads = _ConvolutionBackward.apply(g, x, weight, ctx.geometry, ctx.needs_input_grad[:3])  # type: ignore[no-untyped-call]
        return *grads, None, None


class _ConvolutionBackward(Function):
    """The gradients of a convolution by x, W and b, themselves bilinear: convolutions again.

    Forward gives Wᵀg, x ⋆ g and Σg (⋆ correlates). For vectors u, V, c that these three meet later,
    ⟨u, Wᵀg⟩ + ⟨V, x ⋆ g⟩ + ⟨c, Σg⟩ = ⟨W ∗ u + V ∗ x + c, g⟩, whose gradients are
    by g: W ∗ u + V ∗ x + c;  by x: Vᵀg;  by W: u ⋆ g.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(g: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, output_mask: Any) -> Any:
        return _backward(g, x, weight, geometry, output_mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        g, x, weight, ctx.geometry, _ = inputs
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
        return by_g, by_x, by_weight, None, None


# BatchNorm with running statistics


def _batch_norm(adjoint: bool) -> Callable[..., Tensor]:
    """A replacement of ``F.batch_norm``."""

    def batch_norm(
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        state = (running_mean, running_var, weight, bias)
        # Batch statistics depend on x and have derivatives of their own, which are left to torch; so is what
        # lacks affine parameters or mixes dtypes, as under autocast: the formulas below do not hold there.
        if training or any(t is None or t.dtype != x.dtype for t in state):
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        return _BatchNorm.apply(x, *state, eps, adjoint)  # type: ignore[no-any-return, no-untyped-call]

    return batch_norm


def _channels(values: Tensor, like: Tensor) -> Tensor:
    """A vector (C,) shaped to meet (B, C, ...)."""
    return values.view(1, -1, *(1,) * (like.ndim - 2))


class _BatchNorm(Function):
    """y = w x̂ + b with x̂ = (x − m) r and r = 1/√(v + ε)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, eps: float, adjoint: bool
    ) -> Tensor:
        return torch.batch_norm(x, weight, bias, mean, var, False, 0.0, eps, True)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        x, mean, var, weight, _, ctx.eps, ctx.adjoint = inputs
        ctx.save_for_backward(x, mean, var, weight)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None) -> Any:
        if g is None:
            return (None,) * 7
        x, mean, var, weight = _saved(ctx)
        by_x, _, _, by_weight, by_bias, *_ = ctx.needs_input_grad
        output_mask = (by_x, by_weight, by_bias)
        gx, gw, gb = _BatchNormBackward.apply(g, x, mean, var, weight, ctx.eps, output_mask)  # type: ignore[no-untyped-call]
        return gx, None, None, gw, gb, None, None


class _BatchNormBackward(Function):
    """Gradients of BatchNorm: g w r by x, Σ g x̂ by w, Σ g by b.

    For vectors u, v, c that these three meet later, the sum of their inner products is
    ⟨u w r + v x̂ + c, g⟩, whose gradients are by g: u w r + v x̂ + c;  by x: g v r;  by w: r Σ u g.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        g: Tensor, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, eps: float, output_mask: Any
    ) -> Any:
        return torch.ops.aten.native_batch_norm_backward(
            g, x, weight, mean, var, None, None, False, eps, output_mask
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        g, x, mean, var, weight, ctx.eps, _ = inputs
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
        return by_g, by_x, None, None, by_weight, None, None


_RULES: dict[bool, dict[Any, Callable[..., Tensor]]] = {
    adjoint: {
        **{f: _convolution(f, adjoint) for f in (torch.conv1d, torch.conv2d, torch.conv3d)},
        F.batch_norm: _batch_norm(adjoint),
        F.embedding_bag: _embedding_bag,
        F.hardsigmoid: _hardsigmoid,
        F.multi_margin_loss: _multi_margin_loss,
        torch.cdist: _cdist,
        torch._weight_norm: _weight_norm,
    }
    for adjoint in (False, True)
}

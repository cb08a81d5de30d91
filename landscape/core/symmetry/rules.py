"""What each tensor operation means for the axes of its operands: the rules of the trace.

A rule takes a `Call`, equates or fixes axes, and returns the axes of the outputs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from landscape.core.symmetry.axis_terms import Cat, Prod, Symbol, Term, divide, resolve, size, unify
from landscape.core.symmetry.trace import Call, Rule
from landscape.core.symmetry.view_rules import VIEWS

__all__ = ["rule_for"]

Outputs = list[list[Term]]

_RULES: dict[str, Rule] = dict(VIEWS)
_ELEMENTWISE = {
    "_prelu_kernel", "_to_copy", "copy", "fill", "hardswish", "log_sigmoid_forward", "masked_fill",
    "native_dropout", "rsub", "where", "zero",
}  # fmt: skip
_SUMS = {"add", "sub", "rsub"}
_COPIES = {"clone", "_to_copy", "copy", "neg", "lift_fresh"}


def rule_for(func: Any) -> Rule | None:
    """The rule of an operation; ``None`` if it has none."""
    name = func.overloadpacket.__name__
    if name.endswith("_") and func._schema.is_mutable:  # in place means the same for the axes
        name = name[:-1]
    if name in _RULES:
        return _RULES[name]
    packet = getattr(torch.ops.aten, name, None)
    # torch tags what works entry by entry; in-place and out forms may lack the tag that another form has.
    tagged = packet is not None and any(
        torch.Tag.pointwise in getattr(packet, o).tags for o in packet.overloads()
    )
    if tagged or name in _ELEMENTWISE:
        return elementwise
    if re.fullmatch(r".*(pool|upsample|pad).*[123]d.*", name):
        return spatial
    return None


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return register


def _dims(call: Call, ndim: int, name: str = "dim") -> list[int]:
    """The axes an operation names, all if none, in order."""
    given = call.args.get(name)
    chosen = range(ndim) if given is None or given == [] else [given] if isinstance(given, int) else given
    return sorted(d % ndim for d in chosen) if ndim else []


# Elementwise


def elementwise(call: Call) -> Outputs:
    """Operands broadcast against each other; axes in step are equal."""
    name = call.name.rstrip("_")
    operands = [(list(call.tracer.axes_of(t)), t) for t in call.inputs]
    ndim = call.outputs[0].ndim
    axes: list[Term] = []
    for k in range(ndim):
        extent = call.outputs[0].shape[k]
        in_step = [a[k - ndim] for a, t in operands if t.ndim >= ndim - k and t.shape[k - ndim] == extent]
        for other in in_step[1:]:
            unify(in_step[0], other)
        axes.append(in_step[0] if in_step else Symbol(extent))
        # Linear along this axis, so that it may be rotated: one operand scaled by what is the same at
        # all its positions, or a sum of two that both have it. A summand that is the same at all positions
        # is not: a rotation would have to turn it too.
        scale = len(in_step) == 1 and (name == "mul" or (name == "div" and in_step[0] in operands[0][0]))
        total = name in _SUMS and len(in_step) == 2
        if not (scale or total or name in _COPIES):
            call.bend(axes[-1])
    return [axes] * len(call.outputs)


@_rule("detach", "alias", "lift_fresh")
def _same(call: Call) -> Outputs:
    return [list(call.tracer.axes_of(call.inputs[0]))]


@_rule(
    "zeros",
    "ones",
    "full",
    "empty",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "new_zeros",
    "empty_strided",
)
@_rule("new_ones", "new_full", "new_empty", "scalar_tensor")
def _constant(call: Call) -> Outputs:
    """All entries are equal, so any order is the same."""
    axes: list[Term] = [Symbol(n) for n in call.outputs[0].shape]
    call.bend(*axes)
    return [axes]


# Products


@_rule("mm", "bmm", "mv", "dot", "vdot", "matmul")
def _product(call: Call) -> Outputs:
    """(..., n, k) times (..., k, m)."""
    (x, y), names = call.inputs, [n for n, v in call.args.items() if isinstance(v, Tensor)]
    return [_multiply(call, names[0], names[1])] if x.ndim and y.ndim else []


@_rule("addmm", "baddbmm", "addmv")
def _plus_product(call: Call) -> Outputs:
    first, second = {"addmm": ("mat1", "mat2"), "baddbmm": ("batch1", "batch2"), "addmv": ("mat", "vec")}[
        call.name.rstrip("_")
    ]
    axes = _multiply(call, first, second)
    bias, shape = call.axes("self"), call.args["self"].shape
    for k, (term, n) in enumerate(zip(reversed(bias), reversed(shape), strict=True), start=1):
        if n == size(axes[-k]):
            unify(axes[-k], term)
        else:
            call.bend(axes[-k])
    return [axes]


def _multiply(call: Call, first: str, second: str) -> list[Term]:
    x, y = call.axes(first), call.axes(second)
    inner = 0 if len(y) == 1 else len(y) - 2
    call.read(first)
    call.read(second)
    unify(x[-1], y[inner])
    for a, b in zip(x[:-2], y[:-2], strict=False):
        unify(a, b)
    return [*x[:-1], *(y[-1:] if len(y) > 1 else [])]


@_rule("convolution")
def _convolution(call: Call) -> Outputs:
    x, w, bias, groups = call.axes("input"), call.axes("weight"), call.axes("bias"), call.args["groups"]
    call.fix(*x[2:], *w[2:])
    call.mix(x[2:], x[:2])
    call.read("input")
    # Channels are (groups, channels of a group), the weight is (out, in of a group, ...), its rows by group.
    head, inner = divide(x[1], [groups, size(x[1]) // groups])
    if call.args["transposed"]:  # the weight is (in, out of a group, ...)
        unify(w[0], x[1])
        channels: Term = Prod((head, w[1])) if groups > 1 else w[1]
    else:
        unify(inner, w[1])
        if groups > 1:
            unify(head, divide(w[0], [groups, size(w[0]) // groups])[0])
        channels = w[0]
    if bias:
        unify(channels, bias[0])
    return [[x[0], channels, *_positions(call, 2)]]


def _positions(call: Call, start: int) -> list[Term]:
    """New fixed axes of the output, from axis ``start`` on."""
    return [Symbol(n, call.why) for n in call.outputs[0].shape[start:]]


# Normalisation


@_rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
def _batch_norm(call: Call) -> Outputs:
    x = call.axes("input")
    for name in ("weight", "bias", "running_mean", "running_var"):
        for term in call.axes(name):
            unify(x[1], term)
    if call.args.get("training"):  # statistics of the batch
        call.mix([x[0], *x[2:]], [x[1]])
    call.bend(*x)
    return [x]


@_rule("native_layer_norm", "_fused_rms_norm")
def _layer_norm(call: Call) -> Outputs:
    x = call.axes("input")
    kept = len(x) - len(call.args["normalized_shape"])
    for name in ("weight", "bias"):
        for a, b in zip(x[kept:], call.axes(name), strict=False):
            unify(a, b)
    call.mix(x[kept:], x[:kept])
    call.bend(*x)
    return [x]


@_rule("native_group_norm")
def _group_norm(call: Call) -> Outputs:
    x = call.axes("input")
    for name in ("weight", "bias"):
        for term in call.axes(name):
            unify(x[1], term)
    # Statistics are those of a group: channels may change places within one, and groups as a whole.
    _group(x[1], size(x[1]) // call.args["group"])
    call.mix(x[2:], x[:2])
    call.bend(*x)
    return [x]


def _group(term: Term, width: int) -> None:
    """Cut an axis into blocks of a width, each part of a concatenation by itself where possible."""
    term = resolve(term)
    if isinstance(term, Cat) and all(size(p) % width == 0 for p in term.parts):
        for part in term.parts:
            _group(part, width)
    else:
        divide(term, [size(term) // width, width])


@_rule("_softmax", "_log_softmax", "_safe_softmax")
def _softmax(call: Call) -> Outputs:
    x = call.axes("self")
    dim = call.args["dim"] % len(x)
    call.mix([x[dim]], [*x[:dim], *x[dim + 1 :]])
    call.bend(*x)
    return [x]


@_rule("_weight_norm_interface")
def _weight_norm(call: Call) -> Outputs:
    v, g, dim = call.axes("v"), call.axes("g"), call.args["dim"]
    unify(v[dim], g[dim])
    call.mix([*v[:dim], *v[dim + 1 :]], [v[dim]])  # a norm runs over all axes but one
    call.bend(*v)
    return [v]


# Reductions and operations that depend on positions


@_rule("sum", "mean", "amax", "amin", "var", "std", "var_mean", "prod", "logsumexp", "linalg_vector_norm")
@_rule("norm", "any", "all")
def _reduce(call: Call) -> Outputs:
    x = call.axes("self")
    dims = _dims(call, len(x))
    call.bend(*(x if call.name not in {"sum", "mean"} else [x[d] for d in dims]))
    return [_without(call, x, dims)] * len(call.outputs)


def _without(call: Call, x: list[Term], dims: Sequence[int]) -> list[Term]:
    if call.outputs[0].ndim == len(x):
        return [Symbol(1) if k in dims else term for k, term in enumerate(x)]
    return [term for k, term in enumerate(x) if k not in dims]


@_rule("max", "min")
def _extreme(call: Call) -> Sequence[Sequence[Term]] | None:
    if "dim" in call.args:
        return _by_position(call)
    return elementwise(call) if "other" in call.args else _reduce(call)


@_rule("argmax", "argmin", "sort", "topk", "cumsum", "cumprod", "kthvalue", "median", "argsort")
@_rule("_fft_r2c", "_fft_c2c", "_fft_c2r")
def _by_position(call: Call) -> Outputs:
    x = call.axes("self")
    return _ordered(call, x, _dims(call, len(x)))


@_rule("flip", "roll")
def _moved(call: Call) -> Outputs:
    x = call.axes("self")
    return _ordered(call, x, _dims(call, len(x), "dims"))


@_rule("tril", "triu")
def _triangle(call: Call) -> Outputs:
    x = call.axes("self")
    return _ordered(call, x, [len(x) - 2, len(x) - 1])


def spatial(call: Call) -> Outputs:
    """Pooling, resampling and padding: trailing axes are positions, the others pass."""
    x = list(call.tracer.axes_of(call.inputs[0]))
    count = int(re.findall(r"([123])d", call.name)[-1])
    return _ordered(call, x, range(len(x) - count, len(x)))


def _ordered(call: Call, x: list[Term], dims: Sequence[int]) -> Outputs:
    """The operation depends on the positions along ``dims``."""
    call.fix(*(x[d] for d in dims))
    call.mix([x[d] for d in dims], [term for d, term in enumerate(x) if d not in dims])
    call.bend(*x)
    shape = call.outputs[0].shape
    if len(shape) != len(x):
        return [_without(call, x, dims)] * len(call.outputs)
    axes = [Symbol(shape[k], call.why) if k in dims else term for k, term in enumerate(x)]
    return [axes] * len(call.outputs)

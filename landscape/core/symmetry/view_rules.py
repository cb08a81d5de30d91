"""Rules of the trace for operations that only rearrange: views, slices, concatenation, look-ups."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from landscape.core.symmetry.axis_terms import (
    Cat,
    Prod,
    Symbol,
    Term,
    cut,
    divide,
    gather,
    select,
    size,
    unify,
)
from landscape.core.symmetry.trace import Call, Rule

__all__ = ["VIEWS"]

Outputs = list[list[Term]]

VIEWS: dict[str, Rule] = {}
"""The rules by name of the operation."""


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        VIEWS.update(dict.fromkeys(names, function))
        return function

    return register


@_rule("view", "_unsafe_view", "reshape", "_reshape_alias", "view_copy")
def _view(call: Call) -> Outputs | None:
    """Axes are regrouped where their sizes first multiply to the same number."""
    new = list(call.outputs[0].shape)
    if 0 in new:
        return None
    old = call.axes("self")
    axes: list[Term] = []
    while old or new:  # one regrouping at a time; `taken` becomes `sizes`
        taken, sizes = old[:1], new[:1]
        old, new = old[1:], new[1:]
        while (m := math.prod(map(size, taken))) != (n := math.prod(sizes)):
            if m < n:
                taken.append(old.pop(0))
            else:
                sizes.append(new.pop(0))
        axes.extend(divide(Prod(tuple(taken)), sizes) if sizes else [])
    return [axes]


@_rule("as_strided")
def _restride(call: Call) -> Outputs | None:
    """Other strides of axes with one position, as pooling sets them for channels last, change nothing."""
    x, shape, strides = call.axes("self"), call.args["size"], call.args["stride"]
    if [size(term) for term in x] != list(shape):
        return None
    pairs = zip(shape, strides, call.strides[0], strict=True)
    return [x] if all(n == 1 or new == old for n, new, old in pairs) else None


@_rule("permute")
def _permute(call: Call) -> Outputs:
    x = call.axes("self")
    return [[x[d] for d in call.args["dims"]]]


@_rule("t", "transpose")
def _transpose(call: Call) -> Outputs:
    x = call.axes("self")
    if len(x) > 1:
        a, b = call.args.get("dim0", 0), call.args.get("dim1", 1)
        x[a], x[b] = x[b], x[a]
    return [x]


@_rule("unsqueeze")
def _unsqueeze(call: Call) -> Outputs:
    x = call.axes("self")
    x.insert(call.args["dim"] % (len(x) + 1), Symbol(1))
    return [x]


@_rule("squeeze")
def _squeeze(call: Call) -> Outputs:
    x = call.axes("self")
    given = call.args.get("dim")
    dims = range(len(x)) if given is None else [given] if isinstance(given, int) else given
    gone = {d % len(x) for d in dims if size(x[d]) == 1} if x else set()
    return [[term for k, term in enumerate(x) if k not in gone]]


@_rule("expand")
def _expand(call: Call) -> Outputs:
    """Copies along a new axis are equal, so any order of them is the same."""
    x, shape = call.axes("self"), call.outputs[0].shape
    return [
        [
            # counted from the last axis, as broadcasting does; a new symbol where copies are made
            x[k] if k >= -len(x) and size(x[k]) == n else Symbol(n)
            for k, n in zip(range(-len(shape), 0), shape, strict=True)
        ]
    ]


@_rule("repeat")
def _repeat(call: Call) -> Outputs:
    x, times = call.axes("self"), call.args["repeats"]
    x = [Symbol(1)] * (len(times) - len(x)) + x
    return [[Prod((Symbol(n), term)) for n, term in zip(times, x, strict=True)]]


@_rule("select")
def _select(call: Call) -> Outputs:
    x = call.axes("self")
    dim = call.args["dim"] % len(x)
    return [select(x, dim, call.args["index"] % size(x[dim]), call.why)]


@_rule("unbind")
def _unbind(call: Call) -> Outputs:
    x = call.axes("self")
    dim = call.args["dim"] % len(x)
    return [select(x, dim, index, call.why) for index in range(len(call.outputs))]


@_rule("slice")
def _slice(call: Call) -> Outputs:
    x = call.axes("self")
    dim = call.args["dim"] % len(x)
    total = size(x[dim])
    start, end, step = slice(call.args["start"], call.args["end"], call.args["step"]).indices(total)
    if step == 1:  # three pieces: what lies before, the slice, what lies after
        x[dim] = cut(x[dim], [start, end - start, total - end])[1] if end > start else Symbol(0)
    else:
        call.fix(x[dim])
        x[dim] = Symbol(call.outputs[0].shape[dim], call.why)
    return [x]


@_rule("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unsafe_chunk")
def _split(call: Call) -> Outputs:
    x = call.axes("self")
    dim = call.args["dim"] % len(x)
    pieces = cut(x[dim], [piece.shape[dim] for piece in call.outputs])
    return [[*x[:dim], piece, *x[dim + 1 :]] for piece in pieces]


@_rule("glu")
def _glu(call: Call) -> Outputs:
    x = call.axes("self")
    dim = call.args["dim"] % len(x)
    # Entry i of one half is multiplied by the gate's entry i: the halves go in step.
    half, gate = cut(x[dim], [size(x[dim]) // 2] * 2)
    unify(half, gate)
    call.bend(*x)
    return [[*x[:dim], half, *x[dim + 1 :]]]


@_rule("cat")
def _cat(call: Call) -> Outputs:
    operands = [list(call.tracer.axes_of(t)) for t in call.inputs if t.ndim == call.outputs[0].ndim]
    dim = call.args.get("dim", 0) % call.outputs[0].ndim
    joined = Cat(tuple(axes[dim] for axes in operands))
    first = _in_step(operands, dim)
    return [[*first[:dim], joined, *first[dim + 1 :]]]


@_rule("stack")
def _stack(call: Call) -> Outputs:
    """The axes beside the new one may differ along it, as `_select` allows."""
    outer = Symbol(len(call.inputs), call.why)  # fixed: the program says which input comes first
    operands = [call.tracer.axes_of(t) for t in call.inputs]
    axes = [gather(terms, outer) for terms in zip(*operands, strict=True)]
    axes.insert(call.args.get("dim", 0) % call.outputs[0].ndim, outer)
    return [axes]


def _in_step(operands: Sequence[list[Term]], but: int) -> list[Term]:
    for other in operands[1:]:
        for k, (a, b) in enumerate(zip(operands[0], other, strict=True)):
            if k != but:
                unify(a, b)
    return list(operands[0])


@_rule("constant_pad_nd")
def _pad(call: Call) -> Outputs:
    """Equal entries are put before and after; cropping is left to be fixed."""
    x, pad = call.axes("self"), call.args["pad"]
    for k in range(len(pad) // 2):  # torch lists pads from the last axis on
        before, after, d = pad[2 * k], pad[2 * k + 1], len(x) - 1 - k
        if before < 0 or after < 0:
            call.fix(x[d])
            x[d] = Symbol(call.outputs[0].shape[d], call.why)
        elif before or after:
            x[d] = Cat((Symbol(before), x[d], Symbol(after)))
            call.bend(x[d])
    return [x]


@_rule("pixel_shuffle")
def _pixel_shuffle(call: Call) -> Outputs:
    x, factor = call.axes("self"), call.args["upscale_factor"]
    channels, inner = divide(x[-3], [size(x[-3]) // factor**2, factor**2])
    call.fix(inner, x[-2], x[-1])
    return [[*x[:-3], channels, *(Symbol(n, call.why) for n in call.outputs[0].shape[-2:])]]


@_rule("view_as_real")
def _parts(call: Call) -> Outputs:
    return [[*call.axes("self"), Symbol(2, call.why)]]


@_rule("view_as_complex")
def _complex(call: Call) -> Outputs:
    x = call.axes("self")
    call.fix(x[-1])
    return [x[:-1]]


@_rule("unfold")
def _windows(call: Call) -> Outputs:
    x, shape = call.axes("self"), call.outputs[0].shape
    dim = call.args["dimension"] % len(x)
    call.fix(x[dim])
    x[dim] = Symbol(shape[dim], call.why)
    return [[*x, Symbol(shape[-1], call.why)]]


@_rule("im2col")
def _unfold(call: Call) -> Outputs:
    x, shape = call.axes("self"), call.outputs[0].shape
    call.fix(x[-1], x[-2])
    window = shape[-2] // size(x[-3])  # the channel runs slower than the place in the window
    return [[*x[:-3], Prod((x[-3], Symbol(window, call.why))), Symbol(shape[-1], call.why)]]


@_rule("embedding")
def _embedding(call: Call) -> Outputs:
    weight = call.axes("weight")
    call.fix(weight[0])
    return [[*call.axes("indices"), weight[1]]]


@_rule("index_select")
def _index_select(call: Call) -> Outputs:
    x = call.axes("self")
    dim = call.args["dim"] % len(x)
    call.fix(x[dim])
    x[dim : dim + 1] = call.axes("index") or [Symbol(1)]
    return [x]


@_rule("index")
def _index(call: Call) -> Outputs | None:
    """Integer look-ups along axes next to each other; other forms are left to be fixed."""
    x, given = call.axes("self"), call.args["indices"]
    dims = [d for d, index in enumerate(given) if index is not None]
    tensors: list[Tensor] = [given[d] for d in dims]
    alone = len({t.ndim for t in tensors}) == 1 and all(t.dtype.is_floating_point is False for t in tensors)
    masks = any(str(t.dtype) in {"torch.bool", "torch.uint8"} for t in tensors)
    if masks or not alone or dims != list(range(dims[0], dims[-1] + 1)):
        return None
    # Axes looked up side by side are replaced, in their place, by those of the indices broadcast together.
    call.fix(*(x[d] for d in dims))
    looked = _in_step_broadcast([list(call.tracer.axes_of(t)) for t in tensors])
    return [[*x[: dims[0]], *looked, *x[dims[-1] + 1 :]]]


def _in_step_broadcast(operands: Sequence[list[Term]]) -> list[Term]:
    axes: list[Term] = []
    for terms in zip(*operands, strict=True):
        long = [t for t in terms if size(t) > 1] or [terms[0]]
        for other in long[1:]:
            unify(long[0], other)
        axes.append(long[0])
    return axes

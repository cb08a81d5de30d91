"""The trace: a model runs once while the axes of every tensor are named and equated.

The model really runs, on the CPU, one tensor operation of PyTorch's ATen level at a time, so that hooks,
loops, branches and any style of writing a layer are followed. `landscape.core.symmetry.rules` says what each
operation means for the axes; an operation without a rule fixes the axes of what it touches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from landscape.core.data.batches import tensors_in
from landscape.core.symmetry.axis_terms import Symbol, Term, fix, size, unify

__all__ = ["Axes", "Call", "Read", "Rule", "Tracer", "arguments", "plain_operations"]

Axes = tuple[Term, ...]
Rule = Callable[["Call"], Sequence[Sequence[Term]] | None]


@dataclass(frozen=True)
class Read:
    """A feature that a product of the model reads or puts out.

    Attributes:
        call: Number of the operation in the pass.
        argument: Name of its argument; empty for its output.
        axes: The axes of that tensor.
    """

    call: int
    argument: str
    axes: Axes


def arguments(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operation by name, defaults included."""
    schema = func._schema.arguments
    given = {a.name: a.default_value for a in schema if a.has_default_value()}
    return given | {a.name: value for a, value in zip(schema, args, strict=False)} | dict(kwargs)


class Call:
    """One operation: its arguments by name, its outputs, and the notes of the trace it may add to.

    Attributes:
        name: The operation.
        args: Its arguments by name.
        inputs: The tensors among them.
        strides: Those of the inputs, before an operation in place changes them.
        outputs: Its results.
        why: The operation and the module it is in.
    """

    def __init__(self, tracer: Tracer, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        schema = func._schema
        self.name: str = func.overloadpacket.__name__
        self.args: dict[str, Any] = {
            a.name: a.default_value for a in schema.arguments if a.has_default_value()
        }
        self.args |= {a.name: value for a, value in zip(schema.arguments, args, strict=False)}
        self.args |= kwargs
        self.inputs = [t for _, t in tensors_in([list(args), dict(kwargs)])]
        self.outputs: list[Tensor] = []
        self.strides = [t.stride() if t.layout == torch.strided else () for t in self.inputs]
        self.tracer = tracer
        self.why = f"{self.name} in {tracer.where()}"

    def axes(self, name: str) -> list[Term]:
        """The axes of a tensor argument; none if it is missing."""
        tensor = self.args.get(name)
        return [] if tensor is None else list(self.tracer.axes_of(tensor))

    def fix(self, *terms: Term) -> None:
        """Forbid changes of order: the operation depends on positions."""
        for term in terms:
            fix(term, self.why)

    def mix(self, along: Sequence[Term], others: Sequence[Term]) -> None:
        """Positions along some axes act on each other: the order along the others cannot depend on them."""
        self.tracer.mixed.append((tuple(along), tuple(others)))

    def bend(self, *terms: Term) -> None:
        """The operation does not commute with rotations of these axes, only with changes of order."""
        self.tracer.bent.append(tuple(terms))

    def read(self, name: str) -> None:
        """A product reads this argument: a feature, if it comes from the data."""
        if self.tracer.is_data(self.args[name]):
            self.tracer.reads.append(Read(self.tracer.calls, name, tuple(self.axes(name))))


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names the axes of all tensors of a pass.

    Args:
        named: Parameters and buffers, whose axes are unknown at first.
        data: The inputs.
        rules: What to do with an operation, by its name.
        where: Says in which module the pass is.

    Attributes:
        seen: The axes of all tensors that occurred.
        mixed: Pairs (axes whose positions act on each other, axes beside them).
        bent: Axes along which something not linear happens.
        reads: The features that products read and put out.
        opaque: Operations without a rule, with their modules, once each.
        calls: Number of operations so far.
    """

    def __init__(
        self,
        named: Mapping[str, Tensor],
        data: Iterable[Tensor],
        rules: Callable[[Any], Rule | None],
        where: Callable[[], str],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rules = rules
        self.where = where
        # By identity, since == of tensors goes entry by entry; weakly, so that no tensor is kept alive.
        self._axes: Any = WeakIdKeyDictionary()
        self._data: Any = WeakIdKeyDictionary(dict.fromkeys(data))
        self.seen: list[Axes] = []
        self.mixed: list[tuple[Axes, Axes]] = []
        self.bent: list[Axes] = []
        self.reads: list[Read] = []
        self.opaque: dict[str, None] = {}
        self.used: set[int] = set()
        self.calls = 0
        for tensor in named.values():
            if tensor not in self._axes:  # a tied weight has one set of axes under both names
                self._set(tensor, [Symbol(n) for n in tensor.shape])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and apply its rule."""
        call = Call(self, func, args, kwargs or {})
        out = func(*args, **(kwargs or {}))
        call.outputs = [out] if isinstance(out, Tensor) else [t for _, t in tensors_in(out)]
        self.used |= {id(t) for t in call.inputs}
        rule = self._rules(func)
        found = None if rule is None else rule(call)
        # squeeze_ and the like give the very tensor another shape: its axes are named anew.
        before = self._axes.pop(out, ()) if torch.Tag.inplace_view in func.tags else ()
        # A rule that returns nothing, or axes that do not fit the shapes, did not foresee this form.
        pairs = list(zip(call.outputs, found or (), strict=False))
        if found is None or any([size(term) for term in axes] != list(t.shape) for t, axes in pairs):
            self._unknown(call, before)
        else:
            for tensor, axes in pairs:
                self._set(tensor, axes)
        # A product that read from the data puts out a feature as well.
        if self.reads and self.reads[-1].call == self.calls:
            self.reads.append(Read(self.calls, "", self.axes_of(out)))
        self.calls += 1
        if any(t in self._data for t in call.inputs):
            self._data.update(dict.fromkeys(call.outputs))
        return out

    def is_data(self, tensor: Tensor) -> bool:
        """Whether a tensor comes from the data, not from parameters alone."""
        return tensor in self._data

    def axes_of(self, tensor: Tensor) -> Axes:
        """The axes of a tensor; fixed ones if it comes from nowhere."""
        if tensor not in self._axes:
            self._set(tensor, [Symbol(n, "data or a constant") for n in tensor.shape])
        axes: Axes = self._axes[tensor]
        return axes

    def _set(self, tensor: Tensor, axes: Sequence[Term]) -> None:
        known = self._axes.get(tensor)
        if known is not None:  # written in place
            for old, new in zip(known, axes, strict=True):
                unify(old, new)
            return
        self._axes[tensor] = tuple(axes)
        self.seen.append(tuple(axes))

    def _unknown(self, call: Call, before: Axes) -> None:
        call.fix(*before)
        for tensor in (*call.inputs, *call.outputs):
            call.fix(*self.axes_of(tensor))
        if any(t.ndim for t in call.inputs):  # of single numbers there is nothing to tell
            self.opaque.setdefault(call.why)


@contextmanager
def plain_operations(model: nn.Module, path: list[str]) -> Iterator[None]:
    """Within it, fused kernels are off, no gradients are kept, and ``path`` holds the running modules."""

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: path.append(name)

    # Fused kernels are single operations whose parts no rule would see.
    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(enter(name or type(model).__name__)))
        hooks.append(module.register_forward_hook(lambda *_: path.pop() and None))
    fastpath, onednn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        torch._C._set_mkldnn_enabled(False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
        torch._C._set_mkldnn_enabled(onednn)
        for hook in hooks:
            hook.remove()

"""Collect: one forward pass over the data of a problem that serves any number of collectors."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch
from landscape.core.data.subsample import plan_pass
from landscape.core.features.calls import ModuleCall, first_input
from landscape.core.features.collector import Collector, Feature, SharedValues
from landscape.core.features.function_hooks import FunctionTap
from landscape.core.features.hooks import first_tensor
from landscape.core.features.map_layout import MapLayouts, are_pictures, are_series
from landscape.core.features.units import Unit, find_units, inside_attention
from landscape.core.problem.passes.pieces import cut
from landscape.core.problem.private_model import plain_encoder

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["collect"]

OWN_SHARE = 0.5
"""Of the cache, what the maps of a pass have; the rest is for their transforms (measured on ResNet-20)."""


@under_own_context
def collect(
    problem: Problem,
    collectors: Sequence[Collector],
    progress: Callable[[float], None] = lambda fraction: None,
) -> list[Exception | None]:
    """Run the model over the data once, for all collectors.

    Args:
        problem: Model and data.
        collectors: Each is served as if it were alone.
        progress: Called with the finished fraction.

    Returns:
        For each collector ``None``, or the error that put it out of service.

    Raises:
        Exception: Whatever the model itself raises.
    """
    whole = problem.batchnorm == "batch"  # the statistics of a batch are those of all its examples
    plan = plan_pass(problem.batches, [c.images for c in collectors], whole=whole)
    for collector, order in zip(collectors, plan.orders, strict=True):
        collector.model_class = type(problem.module).__name__
        collector.order = order
    hooks = _PassHooks(problem.module, collectors)
    with torch.no_grad():
        for index, (batch, shares) in enumerate(zip(plan.batches(), plan.shares, strict=True)):
            for collector in collectors:
                collector.series = are_series(batch.inputs)
            for piece, rest in _in_pieces(problem, batch, shares):
                with hooks.on(piece.size, rest, are_pictures(piece.inputs)):
                    problem.output(piece)
            progress((index + 1) / len(plan.shares))
            if all(error is not None for error in hooks.errors):
                break
    return hooks.errors


def _in_pieces(problem: Problem, batch: Batch, shares: list[int]) -> Iterator[tuple[Batch, list[int]]]:
    """A batch in pieces of which a map and what is made of it stay in the cache, with each one's shares.

    Larger maps are paged in anew at each operation, which takes two to four times as long as the operation.
    """
    start = 0
    for piece in cut(problem, batch, share=OWN_SHARE):
        yield piece, [min(max(share - start, 0), piece.size) for share in shares]
        start += piece.size


class _PassHooks:
    """The hooks of one pass: who is shown what, and what is known of the tensors met in this batch.

    Collectors are named by their index. Tensors are known by ``id``, with a weak reference that tells when
    an address is used anew, and by their version, which tells when they were written to.
    """

    def __init__(self, model: nn.Module, collectors: Sequence[Collector]) -> None:
        self.model = model
        self.collectors = collectors
        self.errors: list[Exception | None] = [None] * len(collectors)
        self.units = find_units(model)
        self.modules = {name: part for name, part in model.named_modules() if name} or {"model": model}
        self.keep_squares = any(collector.squares for collector in collectors)
        self.takers: dict[Unit, list[tuple[int, Collector]]] = {}
        self.busy = False
        self.asked_for_inputs = any(collector.inputs for collector in collectors)
        for index, collector in enumerate(collectors):
            if collector.selection is not None:
                self.guard(index, collector.selection.check, self.units, model)
        self._begin(0, [0] * len(collectors))

    def _begin(self, examples: int, shares: list[int], pictures: bool = False) -> None:
        """Forget the last batch."""
        self.examples = examples
        self.shares = shares
        asked = {(c.prefix_tokens, c.grid) for c in self.collectors}
        self.layouts = {asks: MapLayouts(asks[0], pictures, asks[1]) for asks in asked}
        self.calls: dict[str, int] = {}
        self.stack: list[_Frame] = []
        self.known: dict[int, _Known] = {}
        self.given: list[dict[int, tuple[weakref.ref[Tensor], int | None]]] = [{} for _ in self.collectors]
        self.last_sum: Tensor | None = None
        self.halved: set[str] = set()

    @contextmanager
    def on(self, examples: int, shares: list[int], pictures: bool) -> Iterator[None]:
        """Within it, firing units are handed to the collectors, to each its share of the first examples."""
        self._begin(examples, shares, pictures)
        chosen = [c.selection for c in self.collectors if c.selection is not None]
        sums = any("residual_sum" in s.kinds for s in chosen)
        attention = any(c.attention for c in self.collectors)
        with ExitStack() as stack:
            stack.enter_context(plain_encoder())
            if sums or attention:
                tap = FunctionTap(
                    self._attention if attention else None, self._sum if sums else None, lambda: self.busy
                )
                stack.enter_context(tap)
            # The model's own pre-hook comes first, so that its images are known before any unit fires.
            handles = [self.model.register_forward_pre_hook(self._learn_images, with_kwargs=True)]
            for name, module in self.modules.items():
                handles.append(module.register_forward_pre_hook(self._before(name), with_kwargs=True))
                handles.append(module.register_forward_hook(self._fired(name)))
            for handle in handles:
                stack.callback(handle.remove)
            yield
        self._begin(0, [0] * len(self.collectors))

    def guard(self, index: int, call: Callable[..., None], *args: Any) -> None:
        """Call a collector; an error puts that one out of service."""
        self.busy = True  # what a collector computes fires hooks too; they are not part of the pass
        try:
            with torch._C.DisableTorchFunction():  # the tap need not look at what collectors do
                call(*args)
        except Exception as error:
            self.errors[index] = error
        finally:
            self.busy = False

    def _interested(self, unit: Unit) -> Iterator[tuple[int, Collector]]:
        takers = self.takers.get(unit)
        if takers is None:  # globs are matched once
            pairs = enumerate(self.collectors)
            takers = [(i, c) for i, c in pairs if c.selection is not None and c.selection.takes(unit)]
            self.takers[unit] = takers
        for i, c in takers:
            if self._serves(i):
                yield i, c

    def _serves(self, index: int) -> bool:
        """Whether a collector still works and is shown examples of this batch."""
        return self.errors[index] is None and self.shares[index] > 0

    def _feature(self, tensor: Tensor, index: int, module: nn.Module | None, name: str) -> Feature:
        """A collector's share of a tensor, with what is known of it as long as it lives unchanged."""
        key, version = id(tensor), _version(tensor)
        collector, share = self.collectors[index], self.shares[index]
        asks = collector.prefix_tokens, collector.grid
        known = self.known.get(key)
        # Found by address, trusted only if it is the same object with the same content: an address is used
        # anew once a tensor is freed, and an in-place operation keeps the address but not the values.
        if known is None or known.tensor() is not tensor or version is None or known.version != version:
            known = _Known(weakref.ref(tensor, lambda ref: self._forget(key, ref)), version, {})
            self.known[key] = known
        if (asks, share) not in known.shared:
            by_head = tensor.ndim == 4 and inside_attention(name, self.units)
            if by_head and not isinstance(module, nn.Linear | nn.Conv2d | nn.BatchNorm2d):
                layout = None  # queries, keys or weights (B, heads, T, ·)
            else:
                layout = self.layouts[asks].find(tensor, self.examples, module)
            known.shared[asks, share] = SharedValues(layout, self.keep_squares)
        # A tensor has one row per example, or the same number of rows (windows) for each; any other first
        # axis cannot be cut to a share and is shown whole.
        rows, rest = divmod(len(tensor) * share, self.examples)
        part = tensor if share == self.examples or rest else tensor[:rows]
        return Feature(part, share, known.shared[asks, share])

    def _forget(self, key: int, ref: weakref.ref[Tensor]) -> None:
        if key in self.known and self.known[key].tensor is ref:
            del self.known[key]

    def _learn_images(self, _: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """4-D inputs of the model are images (B, C, H, W)."""
        for value in (*args, *keywords.values()):
            if isinstance(value, Tensor) and are_pictures(value):
                for layouts in self.layouts.values():
                    layouts.pictures = True
                    layouts.learn(value, "first")

    def _before(self, name: str) -> Callable[..., None]:
        unit = self.units[name]

        def before(module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            if self.busy:
                return
            place = first_input(module, args, keywords)
            tensor = None if place is None else args[0] if place == 0 else keywords[str(place)]
            with torch._C.DisableTorchFunction():
                call = ModuleCall.of(module, args, keywords) if self.asked_for_inputs else None
                self.stack.append(_Frame(name, tensor, call, self._enter(unit, tensor, name, call)))

        return before

    def _enter(
        self, unit: Unit, tensor: Tensor | None, name: str, call: ModuleCall | None = None
    ) -> dict[int, Feature]:
        """Show the input to the collectors that ask for it; the features by collector."""
        shown: dict[int, Feature] = {}
        if tensor is not None:
            for i, collector in self._interested(unit):
                if collector.inputs:
                    shown[i] = replace(self._feature(tensor, i, None, name), call=call)
                    self.guard(i, collector.enter, unit, shown[i])
        return shown

    def _fired(self, name: str) -> Callable[..., None]:
        unit = self.units[name]

        def fired(module: nn.Module, _: tuple[Any, ...], output: Any) -> None:
            if self.busy:
                return
            frame = self.stack.pop()
            tensor = first_tensor(output)
            if tensor is not None:
                with torch._C.DisableTorchFunction():
                    known, shown = self._by_behaviour(unit, module, frame, tensor)
                    self._show_output(known, module, shown, tensor)

        return fired

    def _by_behaviour(
        self, unit: Unit, module: nn.Module, frame: _Frame, output: Tensor
    ) -> tuple[Unit, dict[int, Feature]]:
        """The unit, as a downsampling if that is what it did and its class does not say what it is.

        Of modules within one another the innermost is meant: a stage is none because a convolution in it
        strides.
        """
        entered = frame.tensor
        if entered is None or entered.ndim != 4 or output.ndim != 4 or entered.shape == output.shape:
            return unit, frame.shown
        layouts = next(iter(self.layouts.values()))
        before = layouts.find(entered, self.examples)
        after = layouts.find(output, self.examples, module)
        if before is None or after is None:
            return unit, frame.shown
        sizes = (before.height, before.width), (after.height, after.width)
        if sizes[0] == sizes[1] or any(new > old for old, new in zip(*sizes, strict=True)):
            return unit, frame.shown
        within = any(name.startswith(f"{unit.name}.") for name in self.halved)
        self.halved.add(unit.name)
        if unit.kinds or within:
            return unit, frame.shown
        unit = replace(unit, kinds=("downsampling",))
        # Who asks for downsamplings was not shown its input: it could not be known.
        return unit, frame.shown | self._enter(unit, entered, unit.name, frame.call)

    def _show_output(
        self, unit: Unit, module: nn.Module | None, shown: dict[int, Feature], output: Tensor
    ) -> None:
        # A module may fire several times in one pass; later calls are told apart as name#1, name#2, ...
        count = self.calls[unit.name] = self.calls.get(unit.name, -1) + 1
        called = unit.name if count == 0 else f"{unit.name}#{count}"
        learner = isinstance(module, nn.Embedding) or output.ndim == 4
        learner = learner and not inside_attention(unit.name, self.units)
        for layouts in self.layouts.values() if learner else ():
            layouts.find(output, self.examples, module)  # later shapes are read by it
        for i, collector in self._interested(unit):
            # The same tensor again: a container returned what its last child put out. A unit of a known
            # kind, and a collector of pairs of input and output, still have something new to see in it.
            if self._already_shown(i, output) and not (unit.kinds or collector.inputs):
                continue
            feature = self._feature(output, i, module, unit.name)
            self.guard(i, collector.receive, called, unit, module, shown.get(i), feature)

    def _already_shown(self, index: int, tensor: Tensor) -> bool:
        """Whether a collector has had this very tensor: a plain container returns its last child's."""
        version, given = _version(tensor), self.given[index]
        if version is None:
            return False
        known = given.get(id(tensor))
        if known is not None and known[0]() is tensor and known[1] == version:
            return True
        given[id(tensor)] = weakref.ref(tensor), version
        return False

    def _sum(self, a: Tensor, b: Tensor, call: Callable[[], Tensor]) -> Tensor:
        """A sum of two features; it is residual if one is the input of a module that it lies in."""
        owner = self.stack[-1].name if self.stack else "model"
        # The residual stream is what came into one of the modules that are running, or the last sum: blocks
        # that add twice (x + attention, then + MLP) add to the result of the first.
        streams = [f.tensor for f in self.stack] + [self.last_sum]
        stream = next((x for x in (a, b) for s in streams if s is not None and _same(x, s)), None)
        in_block = owner in self.units and "block" in self.units[owner].kinds
        # Two branches added within a block are a residual sum though neither is its input, as where a
        # strided block projects its shortcut; x + x is a doubling.
        if a is b or (stream is None and not in_block):
            return call()
        unit = Unit(f"{owner}.+", ("residual_sum",), "add")
        shown = self._enter(unit, stream, owner)
        result = call()
        self.last_sum = result
        self._show_output(unit, None, shown, result)
        return result

    def _attention(self, rows: int, weights: Callable[[int], Iterator[Tensor]]) -> None:
        names = [f.name for f in self.stack]
        inner = names[-1] if names else "model"
        # The innermost attention module names it; a softmax of its own module lies within that.
        name = next((n for n in reversed(names) if "attention" in self.units[n].kinds), inner)
        count = self.calls[f"{name} attention"] = self.calls.get(f"{name} attention", -1) + 1
        called = name if count == 0 else f"{name}#{count}"
        for i, collector in enumerate(self.collectors):
            if collector.attention and self._serves(i):
                first = rows * self.shares[i] // self.examples
                layouts = self.layouts[collector.prefix_tokens, collector.grid]
                shown = self.shares[i], first, weights(first), layouts
                self.guard(i, collector.receive_attention, called, *shown)


@dataclass(frozen=True)
class _Frame:
    """A module that is running, its input, how it was called, and the input's features by collector."""

    name: str
    tensor: Tensor | None
    call: ModuleCall | None
    shown: dict[int, Feature]


@dataclass(frozen=True)
class _Known:
    """A tensor met in this pass, and what is known of it by number of prefix tokens and of examples."""

    tensor: weakref.ref[Tensor]
    version: int | None
    shared: dict[tuple[tuple[int | None, tuple[int, int] | None], int], SharedValues]


def _version(tensor: Tensor) -> int | None:
    """How often a tensor was written to; ``None`` if it does not count."""
    return None if tensor.is_inference() else tensor._version


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same one, or one is the other reshaped."""
    return a is b or (a.numel() == b.numel() and a.data_ptr() == b.data_ptr())

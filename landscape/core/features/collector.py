"""One pass for many eyes: collectors that share the forward passes of a problem.

A collector says which units it wants and gets each one's input and output as it fires; whatever is costly
(the layout of a feature, its Fourier transform) is worked out once per feature and shared. Nothing is
kept but what collectors keep.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from landscape.core.features.fourier import at_least_single, mean_power, spectrum
from landscape.core.features.function_hooks import FunctionTap
from landscape.core.features.hooks import first_tensor
from landscape.core.features.map_layout import Layout, Layouts
from landscape.core.features.units import Selection, Unit, find_units, inside_attention
from landscape.core.problem.private_model import plain_encoder
from landscape.core.problem.subsample import plan_pass

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["Collector", "Feature", "observe"]


@dataclass
class _Shared:
    """What is worked out once for a tensor; it does not keep the tensor alive."""

    layout: Layout | None
    means: Tensor | None = None
    spectrum: Tensor | None = None
    power: Tensor | None = None


@dataclass(frozen=True)
class Feature:
    """An input or output of a unit, to be used during the call of a collector only.

    Attributes:
        tensor: The tensor itself. Reduce or clone it at once: later layers may write to it.
        examples: Examples B in the batch.
    """

    tensor: Tensor
    examples: int
    shared: _Shared

    @property
    def layout(self) -> Layout | None:
        """Where its maps are; ``None`` if it has none."""
        return self.shared.layout

    def maps(self) -> Tensor:
        """The maps (B, C, H, W), in float32 or better."""
        assert self.layout is not None
        return at_least_single(self.layout.to_maps(self.tensor))

    def means(self) -> Tensor:
        """Means of the maps over space, (B, C, 1, 1), worked out once."""
        if self.shared.means is None:
            self.shared.means = self.maps().mean((-2, -1), keepdim=True)
        return self.shared.means

    def spectrum(self) -> Tensor:
        """`landscape.core.features.fourier.spectrum` of the maps, worked out once."""
        if self.shared.spectrum is None:
            self.shared.spectrum = spectrum(self.maps(), self.means())
        return self.shared.spectrum

    def power(self) -> Tensor:
        """`landscape.core.features.fourier.mean_power` of the spectrum, worked out once."""
        if self.shared.power is None:
            self.shared.power = mean_power(self.spectrum())
        return self.shared.power


class Collector:
    """What looks at units during a pass; a subclass overrides the methods that it needs.

    Attributes:
        selection: The units that it wants; ``None`` for none.
        prefix_tokens: See `landscape.core.features.map_layout.Layouts`.
        inputs: Whether it wants inputs too.
        attention: Whether it wants attention weights.
        images: Of how many examples it wants to know at most, a fair sample; ``None`` for all. See
            `landscape.core.problem.subsample.plan_pass`.
        model_class: Class of the model, once a pass has begun.
        order: Numbers in the data of the examples that it is shown, as they come, once a pass has begun.
    """

    selection: Selection | None = None
    prefix_tokens: int | None = None
    inputs: bool = False
    attention: bool = False
    images: int | None = None
    model_class: str = ""
    order: Tensor = torch.empty(0, dtype=torch.long)

    @property
    def examples(self) -> int:
        """Number of examples that it is shown, once a pass has begun."""
        return len(self.order)

    def enter(self, unit: Unit, inputs: Feature) -> None:
        """A wanted unit is about to run: use of its input what you need, since it may overwrite it."""

    def receive(
        self, name: str, unit: Unit, module: nn.Module | None, inputs: Feature | None, output: Feature
    ) -> None:
        """A wanted unit has run.

        Args:
            name: The unit's name, with ``#1``, ``#2``, ... if it fires again in one pass.
            unit: The unit.
            module: The module; ``None`` for a residual sum.
            inputs: Its input, if ``inputs`` is set and it is one tensor; for a residual sum the operand
                that came first into the enclosing module. Use what `enter` prepared: its tensor may have
                been overwritten.
            output: Its output.
        """

    def receive_attention(
        self, name: str, examples: int, rows: int, weights: Iterator[Tensor], layouts: Layouts
    ) -> None:
        """An attention has run in unit ``name``.

        Args:
            name: The unit's name.
            examples: Number of examples that are shown.
            rows: Their rows: one per example, or per window.
            weights: Weights (b, heads, queries, keys) of these rows, in chunks of b.
            layouts: What is known of the grids in this pass.
        """


def observe(
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
    watch = _Watch(problem.module, collectors)
    with torch.no_grad():
        for index, (batch, shares) in enumerate(zip(plan.batches(), plan.shares, strict=True)):
            with watch.on(batch.size, shares):
                problem.output(batch)
            progress((index + 1) / len(plan.shares))
            if all(error is not None for error in watch.errors):
                break
    return watch.errors


class _Watch:
    """The hooks of one pass."""

    def __init__(self, model: nn.Module, collectors: Sequence[Collector]) -> None:
        self.model = model
        self.collectors = collectors
        self.errors: list[Exception | None] = [None] * len(collectors)
        self.units = find_units(model)
        self.modules = {name: part for name, part in model.named_modules() if name} or {"model": model}
        self.busy = False
        for index, collector in enumerate(collectors):
            if collector.selection is not None:
                self.guard(index, collector.selection.check, self.units, model)
        self._begin(0, [0] * len(collectors))

    def _begin(self, examples: int, shares: list[int]) -> None:
        """Forget the last batch."""
        self.examples = examples
        self.shares = shares
        self.layouts = {c.prefix_tokens: Layouts(c.prefix_tokens) for c in self.collectors}
        self.calls: dict[str, int] = {}
        self.stack: list[_Frame] = []
        self.known: dict[int, _Known] = {}
        self.given: list[dict[int, tuple[weakref.ref[Tensor], int | None]]] = [{} for _ in self.collectors]
        self.last_sum: Tensor | None = None

    @contextmanager
    def on(self, examples: int, shares: list[int]) -> Iterator[None]:
        """Within it, firing units are handed to the collectors, to each its share of the first examples."""
        self._begin(examples, shares)
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
            handles = [self.model.register_forward_pre_hook(self._images, with_kwargs=True)]
            for name, module in self.modules.items():
                handles.append(module.register_forward_pre_hook(self._entering(name)))
                handles.append(module.register_forward_hook(self._fired(name)))
            for handle in handles:
                stack.callback(handle.remove)
            yield
        self._begin(0, [0] * len(self.collectors))

    def guard(self, index: int, call: Callable[..., None], *args: Any) -> None:
        """Call a collector; an error puts that one out of service."""
        self.busy = True
        try:
            with torch._C.DisableTorchFunction():  # the tap need not look at what collectors do
                call(*args)
        except Exception as error:
            self.errors[index] = error
        finally:
            self.busy = False

    def _takers(self, unit: Unit) -> Iterator[tuple[int, Collector]]:
        for i, c in enumerate(self.collectors):
            if self._serves(i) and c.selection is not None and c.selection.takes(unit):
                yield i, c

    def _serves(self, index: int) -> bool:
        """Whether a collector still works and wants examples of this batch."""
        return self.errors[index] is None and self.shares[index] > 0

    def _feature(self, tensor: Tensor, index: int, module: nn.Module | None, name: str) -> Feature:
        """A collector's share of a tensor, with what is known of it as long as it lives unchanged."""
        key, version = id(tensor), _version(tensor)
        prefix, share = self.collectors[index].prefix_tokens, self.shares[index]
        known = self.known.get(key)
        if known is None or known.tensor() is not tensor or version is None or known.version != version:
            known = _Known(weakref.ref(tensor, lambda ref: self._forget(key, ref)), version, {})
            self.known[key] = known
        if (prefix, share) not in known.shared:
            by_head = tensor.ndim == 4 and inside_attention(name, self.units)
            if by_head and not isinstance(module, nn.Linear | nn.Conv2d | nn.BatchNorm2d):
                layout = None  # queries, keys or weights (B, heads, T, ·)
            else:
                layout = self.layouts[prefix].find(tensor, self.examples, module)
            known.shared[prefix, share] = _Shared(layout)
        rows, rest = divmod(len(tensor) * share, self.examples)
        part = tensor if share == self.examples or rest else tensor[:rows]
        return Feature(part, share, known.shared[prefix, share])

    def _forget(self, key: int, ref: weakref.ref[Tensor]) -> None:
        if key in self.known and self.known[key].tensor is ref:
            del self.known[key]

    def _images(self, _: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """4-D inputs of the model are images (B, C, H, W)."""
        for value in (*args, *keywords.values()):
            if isinstance(value, Tensor) and value.ndim == 4:
                for layouts in self.layouts.values():
                    layouts.learn(value, "first")

    def _entering(self, name: str) -> Callable[..., None]:
        unit = self.units[name]

        def entering(_: nn.Module, args: tuple[Any, ...]) -> None:
            if self.busy:
                return
            tensor = args[0] if args and isinstance(args[0], Tensor) else None
            with torch._C.DisableTorchFunction():
                self.stack.append(_Frame(name, tensor, self._enter(unit, tensor, name)))

        return entering

    def _enter(self, unit: Unit, tensor: Tensor | None, name: str) -> dict[int, Feature]:
        """Show the input to who wants it; the features by collector."""
        shown: dict[int, Feature] = {}
        if tensor is not None:
            for i, collector in self._takers(unit):
                if collector.inputs:
                    shown[i] = self._feature(tensor, i, None, name)
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
                    self._hand_out(unit, module, frame.shown, tensor)

        return fired

    def _hand_out(
        self, unit: Unit, module: nn.Module | None, shown: dict[int, Feature], output: Tensor
    ) -> None:
        count = self.calls[unit.name] = self.calls.get(unit.name, -1) + 1
        called = unit.name if count == 0 else f"{unit.name}#{count}"
        learner = output.ndim == 4 and not inside_attention(unit.name, self.units)
        for layouts in self.layouts.values() if learner else ():
            layouts.find(output, self.examples, module)  # later shapes are read by it
        for i, collector in self._takers(unit):
            if self._had(i, output) and not (unit.kinds or collector.inputs):
                continue
            feature = self._feature(output, i, module, unit.name)
            self.guard(i, collector.receive, called, unit, module, shown.get(i), feature)

    def _had(self, index: int, tensor: Tensor) -> bool:
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
        streams = [f.tensor for f in self.stack] + [self.last_sum]
        stream = next((x for x in (a, b) for s in streams if s is not None and _same(x, s)), None)
        in_block = owner in self.units and "block" in self.units[owner].kinds
        if a is b or (stream is None and not in_block):
            return call()
        unit = Unit(f"{owner}.+", ("residual_sum",), "add")
        shown = self._enter(unit, stream, owner)
        result = call()
        self.last_sum = result
        self._hand_out(unit, None, shown, result)
        return result

    def _attention(self, rows: int, weights: Callable[[int], Iterator[Tensor]]) -> None:
        names = [f.name for f in self.stack]
        inner = names[-1] if names else "model"
        name = next((n for n in reversed(names) if "attention" in self.units[n].kinds), inner)
        count = self.calls[f"{name} attention"] = self.calls.get(f"{name} attention", -1) + 1
        called = name if count == 0 else f"{name}#{count}"
        for i, collector in enumerate(self.collectors):
            if collector.attention and self._serves(i):
                first = rows * self.shares[i] // self.examples
                layouts = self.layouts[collector.prefix_tokens]
                shown = self.shares[i], first, weights(first), layouts
                self.guard(i, collector.receive_attention, called, *shown)


@dataclass(frozen=True)
class _Frame:
    """A module that is running, its input, and the input's features by collector."""

    name: str
    tensor: Tensor | None
    shown: dict[int, Feature]


@dataclass(frozen=True)
class _Known:
    """A tensor met in this pass, and what is known of it by number of prefix tokens and of examples."""

    tensor: weakref.ref[Tensor]
    version: int | None
    shared: dict[tuple[int | None, int], _Shared]


def _version(tensor: Tensor) -> int | None:
    """How often a tensor was written to; ``None`` if it does not count."""
    return None if tensor.is_inference() else tensor._version


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same one, or one is the other reshaped."""
    return a is b or (a.numel() == b.numel() and a.data_ptr() == b.data_ptr())

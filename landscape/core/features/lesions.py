"""Lesions: a model with one unit replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from landscape.core.features.calls import first_input
from landscape.core.features.collect import collect
from landscape.core.features.collector import Collector, Feature
from landscape.core.features.function_hooks import SOFTMAX, multihead_arguments
from landscape.core.features.hooks import first_tensor
from landscape.core.features.map_layout import MapLayout, MapLayouts
from landscape.core.features.transfer import low_pass
from landscape.core.features.units import Selection, Unit

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["Replacement", "Site", "find_sites", "lesion", "lesion_head"]

Replacement = Literal["remove", "identity", "mean", "dc", "lowpass"]


@dataclass
class Site:
    """A unit that can be replaced.

    Attributes:
        unit: The unit.
        keeps_shape: Whether its output has the shape of its input, at every call.
        layout: Where the maps of its output are; ``None`` without maps, or if its calls have unlike ones.
        heads: Number of attention heads seen in it.
        total: Sum of its outputs over examples, float64; ``None`` if they have no row per example.
        examples: Examples in ``total``.
        shape: Of its output without the examples; ``None`` if these have no axis of their own.
    """

    unit: Unit
    keeps_shape: bool
    layout: MapLayout | None
    heads: int = 0
    total: Tensor | None = field(default=None, repr=False)
    examples: int = 0
    shape: torch.Size | None = None
    varies: bool = False  # whether that differs between its calls

    def see(self, output: Tensor, keeps_shape: bool) -> None:
        """Note one call of the unit itself."""
        self.keeps_shape = self.keeps_shape and keeps_shape
        shape = output.shape[1:]
        if self.shape is not None and shape != self.shape:
            # Shared between branches of unlike size: there is no one mean, and no one place of its maps.
            self.varies, self.layout, self.total = True, None, None
        self.shape = shape

    def replaced(
        self, how: Replacement, output: Tensor, given: Tensor | None, cutoff: float
    ) -> Tensor | None:
        """What the unit puts out instead; ``None`` if this replacement makes no sense here.

        Args:
            how: The replacement.
            output: What it puts out.
            given: Its input.
            cutoff: For ``lowpass``, in cycles/pixel.
        """
        passes_on = how == "identity" or (how == "remove" and self.unit.kind in ("block", "norm"))
        if passes_on:
            return given if self.keeps_shape else None
        if how == "remove":
            return torch.zeros_like(output)
        # Expanded tensors are cloned: the next layer may write to its input, of which they hold one for all.
        if how == "mean":
            if self.total is None or self.total.shape != output.shape[1:]:
                return None
            return (self.total / self.examples).to(output.dtype).expand_as(output).clone()
        if self.layout is None:
            return None
        maps = self.layout.to_maps(output)
        if how == "dc":
            smooth = maps.mean((-2, -1), keepdim=True).expand_as(maps).clone()
        else:
            smooth = low_pass(maps, cutoff)
        return self.layout.from_maps(smooth, output)

    def possible(self, how: Replacement) -> bool:
        """Whether `replaced` gives something."""
        if how == "identity" or (how == "remove" and self.unit.kind in ("block", "norm")):
            return self.keeps_shape
        if how == "mean":
            return self.total is not None
        return how == "remove" or self.layout is not None


class _Survey(Collector):
    """Finds the sites of a model in one pass."""

    inputs = True

    def __init__(
        self,
        selection: Selection,
        prefix_tokens: int | None,
        means: bool,
        heads: bool,
        grid: tuple[int, int] | None,
    ) -> None:
        self.selection = selection
        self.prefix_tokens, self.grid = prefix_tokens, grid
        self.attention = heads
        self.means = means
        self.sites: dict[str, Site] = {}
        self.shapes: dict[str, torch.Size] = {}
        self.heads: dict[str, int] = {}

    def enter(self, unit: Unit, inputs: Feature) -> None:
        """Note the input's shape."""
        self.shapes[unit.name] = inputs.tensor.shape

    def receive(
        self, name: str, unit: Unit, module: nn.Module | None, inputs: Feature | None, output: Feature
    ) -> None:
        """Note the output's shape and layout, and add to its mean."""
        tensor = output.tensor
        if not tensor.is_floating_point():
            return
        keeps = self.shapes.get(unit.name) == tensor.shape
        site = self.sites.setdefault(unit.name, Site(unit, keeps, output.layout))
        if name.split("#")[0] != unit.name or len(tensor) != output.examples:
            return
        site.see(tensor, keeps)  # of later calls as well, which are "name#2" and so on
        if self.means and name == unit.name and not site.varies:
            total = tensor.sum(0, dtype=torch.float64)
            site.total = total if site.total is None else site.total + total
            site.examples += len(tensor)

    def receive_attention(
        self, name: str, examples: int, rows: int, weights: Iterator[Tensor], layouts: MapLayouts
    ) -> None:
        """Note the number of heads."""
        first = next(weights, None)
        if first is not None:
            self.heads[name.split("#")[0]] = first.shape[1]


def find_sites(
    problem: Problem,
    selection: Selection,
    prefix_tokens: int | None,
    means: bool,
    heads: bool,
    grid: tuple[int, int] | None = None,
) -> tuple[dict[str, Site], dict[str, int]]:
    """Units that can be replaced, in firing order, and the number of heads of each attention.

    Args:
        problem: Model and data.
        selection: The units requested.
        prefix_tokens: Tokens before the grid.
        means: Whether the mean outputs are requested; costs memory for one output per unit.
        heads: Whether to look for attention heads.
        grid: Height and width of the grid of tokens, if told.
    """
    survey = _Survey(selection, prefix_tokens, means, heads, grid)
    (error,) = collect(problem, [survey])
    if error is not None:
        raise error
    return survey.sites, survey.heads


@contextmanager
def lesion(problem: Problem, site: Site, how: Replacement, cutoff: float) -> Iterator[None]:
    """Within it, every call of the unit gives the replacement."""
    module = problem.module if site.unit.name == "model" else problem.module.get_submodule(site.unit.name)
    inputs: list[Tensor | None] = []  # a stack, since a unit may run within itself

    def keep(part: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        place = first_input(part, args, keywords)
        given = None if place is None else args[0] if place == 0 else keywords[str(place)]
        passes_on = how == "identity" or how == "remove"
        # cloned, since the unit may overwrite its input; None keeps push and pop in step
        inputs.append(given.clone() if given is not None and passes_on and site.keeps_shape else None)

    def replace(_: nn.Module, __: tuple[Any, ...], output: Any) -> Any:
        tensor, given = first_tensor(output), inputs.pop()
        if tensor is None:
            return output
        instead = site.replaced(how, tensor, given, cutoff)
        if instead is None:
            return output
        if isinstance(output, Tensor):
            return instead
        return type(output)(instead if value is tensor else value for value in output)

    handles = [
        module.register_forward_pre_hook(keep, with_kwargs=True),
        module.register_forward_hook(replace),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def lesion_head(problem: Problem, name: str, head: int) -> Iterator[None]:
    """Within it, one head of the attention unit ``name`` puts out zeros."""
    module = problem.module.get_submodule(name)
    mode = _WithoutHead(head)
    handles = [module.register_forward_pre_hook(mode.begin), module.register_forward_hook(mode.end)]
    try:
        with mode:
            yield
    finally:
        for handle in handles:
            handle.remove()


class _WithoutHead(TorchFunctionMode):
    """Zeroes one head of attention between `begin` and `end`."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self.head = head
        # A count and no flag, since an attention may run within itself.
        self.depth = 0

    def begin(self, *_: Any) -> None:
        """The attention unit begins."""
        self.depth += 1

    def end(self, *_: Any) -> None:
        """The attention unit ends."""
        self.depth -= 1

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call the function; of attention, without the head."""
        kwargs = kwargs or {}
        if not self.depth:
            return func(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            call = multihead_arguments(args, kwargs)
            # Heads are concatenated before the output projection: without its columns one is silent.
            given = call.arguments
            width = given["out_proj_weight"].shape[1] // given["num_heads"]
            weight = given["out_proj_weight"].clone()
            weight[:, self.head * width : (self.head + 1) * width] = 0.0
            given["out_proj_weight"] = weight
            return func(*call.args, **call.kwargs)
        # (B, heads, T, ·): the head's outputs, or its weights where a model calls a softmax of its own.
        result = func(*args, **kwargs)
        by_head = isinstance(result, Tensor) and result.ndim == 4
        if by_head and (func is F.scaled_dot_product_attention or func in SOFTMAX):
            result = result.clone()
            result[:, self.head] = 0.0
        return result

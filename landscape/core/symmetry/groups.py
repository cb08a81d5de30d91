"""From the terms of a trace to groups: which symbols may be permuted, and within what.

A symbol may be permuted differently at every index of another one, as the channels of an attention head are
from head to head, if that other one stands beside it in every tensor and nothing mixes along it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.symmetry.axis_terms import Segment, Symbol, fix, leaves, segments, unify
from landscape.core.symmetry.trace import Axes

__all__ = ["Group", "TensorBlock", "blocks_of", "equate_members", "find_groups"]


@dataclass(frozen=True)
class Group:
    """Positions that may be permuted together wherever they occur.

    Attributes:
        name: The first parameter axis it stands on, such as ``fc1.weight[0]``.
        size: Number of positions n.
        within: Groups (their numbers) at each index of which it has a permutation of its own.
        why: Why its order may not change; empty if it may.
        linear: Whether it may be rotated as well: nothing but linear maps acts along it.
        places: Parameters and buffers with the axes it stands on.
    """

    name: str
    size: int
    within: tuple[int, ...]
    why: str
    linear: bool
    places: tuple[tuple[str, int], ...]

    @property
    def free(self) -> bool:
        """Whether its order may change."""
        return not self.why


@dataclass(frozen=True)
class TensorBlock:
    """Entries of a tensor that groups number.

    Attributes:
        positions: For each axis of the tensor, the positions of the block's entries (k,).
        dims: The block's own axes: numbers of groups.
        axes: For each of these, the axis of the tensor it belongs to.
        shape: Sizes of the block's own axes.
        whole: Whether the block is the tensor itself, reshaped.
    """

    positions: tuple[Tensor, ...]
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    whole: bool

    def take(self, tensor: Tensor) -> Tensor:
        """The block's entries of a tensor, on the block's own axes."""
        entries = tensor if self.whole else tensor[torch.meshgrid(*self.positions, indexing="ij")]
        return entries.reshape(self.shape)

    def put(self, tensor: Tensor, entries: Tensor) -> None:
        """Write the block's entries into a tensor."""
        if self.whole:
            tensor.copy_(entries.reshape(tensor.shape))
        else:
            flat = entries.reshape([len(p) for p in self.positions])
            tensor[torch.meshgrid(*self.positions, indexing="ij")] = flat


def equate_members(seen: Iterable[Axes], mixed: Iterable[tuple[Axes, Axes]]) -> None:
    """Equate the members of an axis that was indexed beside it, where they cannot differ by index."""
    seen, mixed = list(seen), list(mixed)
    # To a fixed point, since each equation may bind symbols that others stand on.
    changed = True
    while changed:
        changed = False
        tensors = {frozenset(_leaves(axes)) for axes in seen}
        everyone: set[Symbol] = set().union(*tensors)
        present = {symbol: [t for t in tensors if symbol in t] for symbol in everyone if symbol.members}
        # Pairs (o, i): positions along o act on each other across i, so that all of them must agree on the
        # order of i.
        barred = {(o, i) for along, beside in mixed for o in _leaves(along) for i in _leaves(beside)}
        for symbol, places in present.items():
            for outer, index in list(symbol.members):
                # Different orders by index make sense only while the indexed axis is one symbol that stands
                # beside this one in every tensor, and nothing mixes along it.
                if outer.bound or (outer, symbol) in barred or any(outer not in t for t in places):
                    unify(symbol.members.pop((outer, index)), symbol)
                    changed = True
                elif symbol.why:
                    fix(symbol.members[outer, index], symbol.why)
            if changed:  # what was gathered above holds no longer
                break


def blocks_of(axes: Axes) -> Iterator[tuple[Segment, ...]]:
    """The blocks of a tensor as one segment per axis; indexed axes are written out."""
    here = set(_leaves(axes))
    outers = {o for symbol in here for o, _ in symbol.members if o in here}
    ordered = sorted(outers, key=lambda symbol: symbol.id)
    for indices in itertools.product(*(range(o.extent) for o in ordered)):
        at = dict(zip(ordered, indices, strict=True))
        yield from itertools.product(*(segments(term, at) for term in axes))


def find_groups(
    named: Mapping[str, Axes],
    seen: Iterable[Axes],
    mixed: Iterable[tuple[Axes, Axes]],
    bent: Iterable[Axes],
) -> tuple[tuple[Group, ...], dict[Symbol, int]]:
    """The groups of settled axes, and the number of each symbol.

    Args:
        named: The axes of parameters and buffers.
        seen: The axes of all tensors.
        mixed: Axes along which positions act on each other, with the axes beside them.
        bent: Axes along which something not linear happens.
    """
    places: dict[Symbol, dict[tuple[str, int], None]] = {}
    for name, axes in named.items():
        for block in blocks_of(axes):
            for axis, segment in enumerate(block):
                for symbol in segment.symbols:
                    places.setdefault(symbol, {})[name, axis] = None
    chains = _chains(list(places), seen, mixed)
    curved = {symbol for axes in bent for symbol in _with_members(axes)}
    parents = {symbol for chain in chains.values() for symbol in chain}
    numbers = {symbol: number for number, symbol in enumerate(places)}
    titles = _titles(places)
    groups = tuple(
        Group(
            name=titles[symbol],
            size=symbol.extent,
            within=tuple(numbers[s] for s in chains[symbol]),
            why=symbol.why,
            # positions that others are within have a discrete meaning: they cannot be rotated
            linear=not symbol.why and symbol not in curved and symbol not in parents,
            places=tuple(where),
        )
        for symbol, where in places.items()
    )
    return groups, numbers


def _chains(
    symbols: list[Symbol], seen: Iterable[Axes], mixed: Iterable[tuple[Axes, Axes]]
) -> dict[Symbol, tuple[Symbol, ...]]:
    """For each symbol the symbols at each index of which it may be permuted differently."""
    beside: dict[Symbol, set[Symbol]] = {}  # what stands beside a symbol in every block that it is in
    for axes in {tuple(axes) for axes in seen}:
        for block in blocks_of(axes):
            here = {symbol for segment in block for symbol in segment.symbols}
            for symbol in here:
                beside[symbol] = beside[symbol] & here if symbol in beside else set(here)
    for along, others in mixed:
        for symbol in _with_members(others):
            if symbol in beside:
                beside[symbol] -= set(_with_members(along)) - {symbol}
    known = set(symbols)
    # Of two that always stand together the older is the outer one: the first factor of a product is the
    # older, as heads before the channels within them; any rule would do, so long as there is no circle.
    outer = {
        s: {r for r in beside[s] & known if r is not s and (s not in beside[r] or r.id < s.id)}
        for s in symbols
    }
    chains: dict[Symbol, tuple[Symbol, ...]] = {}

    def chain(symbol: Symbol) -> tuple[Symbol, ...]:
        # The longest chain all of which is outer to this symbol: a motion has one row per index of each.
        if symbol not in chains:
            fitting = [(*chain(r), r) for r in sorted(outer[symbol], key=lambda r: r.id)]
            fitting = [c for c in fitting if set(c) <= outer[symbol]]
            chains[symbol] = max(fitting, key=len, default=())
        return chains[symbol]

    return {symbol: chain(symbol) for symbol in symbols}


def _titles(places: Mapping[Symbol, Mapping[tuple[str, int], None]]) -> dict[Symbol, str]:
    first = {symbol: next(iter(where)) for symbol, where in places.items()}
    shared: dict[tuple[str, int], list[Symbol]] = {}
    for symbol, place in first.items():
        shared.setdefault(place, []).append(symbol)
    titles = {}
    for (name, axis), symbols in shared.items():
        for number, symbol in enumerate(symbols):
            titles[symbol] = f"{name}[{axis}]" + (f"/{number}" if len(symbols) > 1 else "")
    return titles


def _leaves(axes: Axes) -> Iterator[Symbol]:
    for term in axes:
        yield from leaves(term)


def _with_members(axes: Axes) -> Iterator[Symbol]:
    """The symbols of some axes and of what they are where an axis beside them was indexed."""
    for symbol in _leaves(axes):
        yield symbol
        for member in symbol.members.values():
            yield from _with_members((member,))

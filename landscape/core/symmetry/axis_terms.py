"""Axes of tensors as terms: symbols, products and concatenations, and the equations between them.

Two axes that a model reads in step carry equal terms. An axis (C) flattened with two others is the product
C·H·W; the channels of two concatenated maps are the concatenation of theirs; the rows of a fused attention
projection are 3·heads·width. Solving equations between terms refines them until only symbols are left, each
of which may be permuted on its own unless it is fixed. What cannot be refined is fixed, which is always
right: the identity is a symmetry of every model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["Cat", "Prod", "Segment", "Symbol", "Term", "cut", "divide", "fix", "gather", "leaves", "resolve"]
__all__ += ["segments", "select", "size", "specialise", "unify"]

_ids = itertools.count()


@dataclass(eq=False)  # two unknowns of one size are not the same unknown
class Symbol:
    """An unknown axis.

    Attributes:
        extent: Its number of positions.
        why: Why its order may not change; empty while it may.
        bound: The term it has turned out to be.
        members: Where an axis beside it was indexed: what this one is at that index.
        id: Grows with creation; a factor is older than those that follow it in its product.
    """

    extent: int
    why: str = ""
    bound: Term | None = None
    members: dict[tuple[Symbol, int], Symbol] = field(default_factory=dict)
    id: int = field(default_factory=lambda: next(_ids))


@dataclass(frozen=True, eq=False)
class Prod:
    """Axes flattened into one, the last one running fastest."""

    parts: tuple[Term, ...]


@dataclass(frozen=True, eq=False)
class Cat:
    """Axes one after the other."""

    parts: tuple[Term, ...]


Term = Symbol | Prod | Cat
_T = TypeVar("_T", bound=Term)


@dataclass(frozen=True)
class Segment:
    """Positions of an axis that some symbols number together.

    Attributes:
        symbols: The symbols, each once.
        index: Position on the axis, one axis per symbol.
    """

    symbols: tuple[Symbol, ...]
    index: Tensor


def size(term: Term) -> int:
    """Number of positions."""
    if isinstance(term, Symbol):
        return term.extent
    sizes = [size(part) for part in term.parts]
    return math.prod(sizes) if isinstance(term, Prod) else sum(sizes)


def resolve(term: Term) -> Term:
    """The term with what is known put in; products hold no product, concatenations no concatenation."""
    if isinstance(term, Symbol):
        return term if term.bound is None else resolve(term.bound)
    # An axis of one position changes no product, one of none no concatenation.
    kind, neutral = type(term), 1 if isinstance(term, Prod) else 0
    parts: list[Term] = []
    for part in map(resolve, term.parts):
        parts.extend(part.parts if isinstance(part, kind) else (part,))
    kept = [part for part in parts if size(part) != neutral]
    if not kept:
        return Symbol(neutral)
    return kept[0] if len(kept) == 1 else kind(tuple(kept))


def leaves(term: Term) -> Iterator[Symbol]:
    """The symbols of a term that have more than one position."""
    term = resolve(term)
    if isinstance(term, Symbol):
        if term.extent > 1:
            yield term
    else:
        for part in term.parts:
            yield from leaves(part)


def fix(term: Term, why: str) -> None:
    """Forbid every change of order within a term; the first reason is kept."""
    for symbol in leaves(term):
        symbol.why = symbol.why or why


def unify(a: Term, b: Term) -> None:
    """Make two terms of equal size equal."""
    a, b = resolve(a), resolve(b)
    if a is b or size(a) < 2:  # one position has no order
        return
    # The older symbol stays, so that ids keep telling outer factors from inner ones.
    if isinstance(a, Symbol) and isinstance(b, Symbol) and b.id > a.id:
        a, b = b, a
    # A symbol cannot occur within the other term, which would never end: the sizes are equal, and every part
    # of a resolved product or concatenation is smaller than the whole.
    if isinstance(a, Symbol):
        _bind(a, b)
    elif isinstance(b, Symbol):
        _bind(b, a)
    elif isinstance(a, Prod) and isinstance(b, Prod):
        _align_factors(list(a.parts), list(b.parts))
    elif isinstance(a, Cat) and isinstance(b, Cat):
        for x, y in zip(*_common_cuts(a, b), strict=True):
            unify(x, y)
    else:  # channels of concatenated maps, flattened with their pixels: the product is cut where the maps end
        cat, prod = (a, b) if isinstance(a, Cat) else (b, a)
        for part, piece in zip(cat.parts, cut(prod, [size(p) for p in cat.parts]), strict=True):
            unify(part, piece)


def cut(term: Term, sizes: Sequence[int]) -> list[Term]:
    """The consecutive pieces of a term."""
    term = resolve(term)
    if len(sizes) == 1:
        return [term]
    if isinstance(term, Symbol):  # from now on its positions move within the pieces only
        return list(_bind(term, Cat(tuple(Symbol(n, term.why) for n in sizes))).parts)
    if isinstance(term, Cat):
        return _cut_parts(term, sizes)
    # The first factor runs slowest: consecutive positions are whole rows of the others, or no product.
    rest = Prod(term.parts[1:])
    inner = size(rest)
    if all(n % inner == 0 for n in sizes):
        return [Prod((piece, rest)) for piece in cut(term.parts[0], [n // inner for n in sizes])]
    return _give_up(term, sizes)


def divide(term: Term, sizes: Sequence[int]) -> list[Term]:
    """The factors of a term, whose sizes multiply to its own."""
    if len(sizes) == 1:
        return [resolve(term)]
    term = resolve(term)
    if (
        isinstance(term, Symbol) and sum(n > 1 for n in sizes) > 1
    ):  # with one factor there is nothing to split
        return list(_bind(term, Prod(tuple(Symbol(n, term.why) for n in sizes))).parts)
    parts: list[Term] = list(term.parts) if isinstance(term, Prod) else [term]
    # Each new factor takes parts from the left until it is full; n is what it still lacks. A part too large
    # is divided, if it is one axis or a product: a concatenation has no factors.
    factors: list[Term] = []
    for n in sizes:
        taken: list[Term] = []
        while n > 1:
            head = parts.pop(0)
            extent = size(head)
            if n % extent == 0:
                taken.append(head)
                n //= extent
            elif extent % n == 0 and not isinstance(resolve(head), Cat):
                head, rest = divide(head, [n, extent // n])
                taken.append(head)
                parts.insert(0, rest)
                n = 1
            else:
                return _give_up(term, sizes)
        factors.append(resolve(Prod(tuple(taken))))
    return factors


def specialise(term: Term, outer: Symbol, index: int) -> Term:
    """What a term is where the axis ``outer`` beside it has the given index."""
    term = resolve(term)
    if term is outer:
        return Symbol(1)
    if not isinstance(term, Symbol):
        return type(term)(tuple(specialise(part, outer, index) for part in term.parts))
    if term.extent < 2 or term.why:  # what keeps its order keeps it at every index
        return term
    return term.members.setdefault((outer, index), Symbol(term.extent))


def select(axes: Sequence[Term], dim: int, index: int, why: str) -> list[Term]:
    """The axes of a tensor without one of them, which was indexed.

    Axes beside an indexed one may differ from index to index, as those of queries, keys and values do.
    """
    outer = resolve(axes[dim])
    fix(outer, why)
    rest = [*axes[:dim], *axes[dim + 1 :]]
    if isinstance(outer, Symbol) and outer.extent > 1:
        return [specialise(term, outer, index) for term in rest]
    return rest


def gather(terms: Sequence[Term], outer: Symbol) -> Term:
    """The axis that is ``terms[i]`` where the axis ``outer`` beside it has index i."""
    terms = [resolve(term) for term in terms]
    if all(term is terms[0] for term in terms) or outer.extent == 1:
        return terms[0]
    axis = Symbol(size(terms[0]))
    axis.members = {(outer, i): Symbol(axis.extent, bound=term) for i, term in enumerate(terms)}
    return axis


def segments(term: Term, at: dict[Symbol, int]) -> list[Segment]:
    """The positions of an axis by symbols, where the symbols in ``at`` have the given index."""
    term = resolve(term)
    if isinstance(term, Symbol):
        if term in at:
            return [Segment((), torch.tensor(at[term]))]
        for outer, index in at.items():
            member = term.members.get((outer, index))  # what stands in its place at this index
            if member is not None:
                return segments(member, at)
        if term.extent == 1:
            return [Segment((), torch.tensor(0))]
        return [Segment((term,), torch.arange(term.extent))]
    if isinstance(term, Cat):
        starts = itertools.accumulate((size(p) for p in term.parts), initial=0)
        return [
            Segment(s.symbols, s.index + start)
            for part, start in zip(term.parts, starts, strict=False)
            for s in segments(part, at)
        ]
    # A product: every combination of the factors' segments, numbered in row-major order.
    combined = [Segment((), torch.tensor(0))]
    for part in term.parts:
        combined = [
            Segment(
                s.symbols + t.symbols,
                s.index.reshape((*s.index.shape, *[1] * t.index.ndim)) * size(part) + t.index,
            )
            for s in combined
            for t in segments(part, at)
        ]
    return combined


def _bind(symbol: Symbol, term: _T) -> _T:
    """Put a term in the place of a symbol, with all that is known of the symbol."""
    symbol.bound = term
    if symbol.why:
        fix(term, symbol.why)
    # An equation of the whole axis holds at each index of an axis beside it, too.
    for (outer, index), member in symbol.members.items():
        unify(member, specialise(term, outer, index))
    return term


def _give_up(term: Term, sizes: Sequence[int]) -> list[Term]:
    """Fixed pieces of a term that is fixed: always right, if not the most that could be said."""
    why = f"an axis of {size(term)} is cut into pieces of {', '.join(map(str, sizes))} across its structure"
    fix(term, why)
    return [Symbol(n, why) for n in sizes]


def _align_factors(a: list[Term], b: list[Term]) -> None:
    """Equate two products factor by factor from the slowest on, dividing the larger of the two in turn."""
    while a and b:
        x, y = a.pop(0), b.pop(0)
        m, n = size(x), size(y)
        if m > n and m % n == 0:
            x, rest = divide(x, [n, m // n])
            a.insert(0, rest)
        elif n > m and n % m == 0:
            y, rest = divide(y, [m, n // m])
            b.insert(0, rest)
        elif m != n:  # such as 2·3 with 3·2: no common refinement
            for term in (x, y, *a, *b):
                fix(term, "two axes are flattened in ways that do not match")
            return
        unify(x, y)


def _common_cuts(a: Cat, b: Cat) -> tuple[list[Term], list[Term]]:
    """Both concatenations cut wherever a part of either ends."""
    ends = sorted({end for cat in (a, b) for end in itertools.accumulate(size(p) for p in cat.parts)})
    sizes = [end - start for start, end in itertools.pairwise([0, *ends])]
    return _cut_parts(a, sizes), _cut_parts(b, sizes)


def _cut_parts(cat: Cat, sizes: Sequence[int]) -> list[Term]:
    """Pieces of a concatenation, its parts cut where a piece ends within one."""
    parts, pieces = list(cat.parts), []
    for n in sizes:
        taken: list[Term] = []
        while n > 0:
            head = parts.pop(0)
            if size(head) > n:
                head, rest = cut(head, [n, size(head) - n])
                parts.insert(0, rest)
            taken.append(head)
            n -= size(head)
        pieces.append(resolve(Cat(tuple(taken))))
    return pieces

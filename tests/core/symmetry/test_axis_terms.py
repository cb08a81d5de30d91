"""Equations between axes: small terms solved by hand, and positions by numpy's reshape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscape.core.symmetry.axis_terms import (
    Cat,
    Prod,
    Symbol,
    cut,
    divide,
    fix,
    gather,
    leaves,
    resolve,
    segments,
    select,
    size,
    specialise,
    unify,
)


def test_a_product_is_divided_where_an_axis_is_viewed_as_several():
    """Oracle: 3·heads·width, by hand."""
    axis = Symbol(24)
    three, heads, width = divide(axis, [3, 2, 4])
    assert resolve(axis).parts == (three, heads, width)
    assert [size(part) for part in divide(axis, [6, 4])] == [6, 4]
    assert list(leaves(axis)) == [three, heads, width]


def test_equal_axes_share_their_parts():
    """Oracle: dividing one divides the other."""
    a, b = Symbol(6), Symbol(6)
    unify(a, b)
    first, second = cut(a, [2, 4])
    assert list(leaves(b)) == [first, second]


def test_products_and_concatenations_are_refined_to_common_parts():
    """Oracle: by hand: 2·6 and 4·3 are 2·2·3; cuts after 2 and after 3 are 2, 1, 3."""
    a, b = Prod((Symbol(2), Symbol(6))), Prod((Symbol(4), Symbol(3)))
    unify(a, b)
    assert [s.extent for s in leaves(a)] == [2, 2, 3] and list(leaves(a)) == list(leaves(b))
    c, d = Cat((Symbol(2), Symbol(5))), Cat((Symbol(4), Symbol(3)))
    unify(c, d)
    assert [s.extent for s in leaves(c)] == [2, 2, 3] and list(leaves(c)) == list(leaves(d))


def test_a_concatenation_of_blocks_meets_a_product():
    """Oracle: rows (2 + 4) of 3 are 2·3 and 4·3."""
    rows, width = Symbol(6), Symbol(3)
    unify(Prod((rows, width)), Cat((Symbol(6), Symbol(12))))
    assert [s.extent for s in leaves(rows)] == [2, 4]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Prod((Symbol(2), Symbol(3))), Prod((Symbol(3), Symbol(2)))),
        (Cat((Symbol(2), Symbol(4))), Prod((Symbol(2), Symbol(3)))),
    ],
)
def test_what_cannot_be_refined_is_fixed(a, b):
    """Oracle: 2·3 against 3·2, and a cut within a row: only the identity is safe."""
    unify(a, b)
    assert all(s.why for term in (a, b) for s in leaves(term))


def test_a_reason_reaches_all_that_is_equal():
    """Oracle: by hand, before and after the equation; the first reason is kept."""
    a, b, c = Symbol(4), Symbol(4), Symbol(4)
    unify(a, b)
    fix(a, "data")
    unify(b, c)
    fix(c, "later")
    assert {s.why for term in (a, b, c) for s in leaves(term)} == {"data"}


def test_axes_beside_an_indexed_one_may_differ_by_index():
    """Oracle: (3, heads): what holds at index 0 holds only there; equations of the whole reach each."""
    three, heads = Symbol(3), Symbol(4)
    (query,) = select([three, heads], 0, 0, "index")
    (key,) = select([three, heads], 0, 1, "index")
    assert query is not key and three.why == "index"
    fix(query, "here")
    assert not key.why
    left, right = divide(heads, [2, 2])
    assert list(leaves(key)) == [specialise(left, three, 1), specialise(right, three, 1)]


def test_stacking_undoes_selecting():
    """Oracle: the operands themselves come back."""
    a, b, outer = Symbol(3), Symbol(3), Symbol(2)
    joint = gather([a, b], outer)
    assert resolve(specialise(joint, outer, 1)) is b
    assert gather([a, a], outer) is a


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3), st.lists(st.integers(1, 4), min_size=1, max_size=3)
)
def test_segments_number_every_position_once(first, second):
    """Oracle: numpy's reshape of the positions of each concatenated part."""
    parts = [Prod(tuple(Symbol(n) for n in sizes)) for sizes in (first, second)]
    found = segments(Cat(tuple(parts)), {})
    positions = np.concatenate([s.index.numpy().ravel() for s in found])
    assert sorted(positions) == list(range(size(parts[0]) + size(parts[1])))
    start = int(np.prod(first))
    expected = start + np.arange(int(np.prod(second))).reshape([n for n in second if n > 1])
    np.testing.assert_array_equal(found[1].index.numpy(), expected)

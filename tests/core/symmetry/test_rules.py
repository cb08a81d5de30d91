"""Rules of the trace held against the operations themselves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from equivariance import check_equivariance, trace


def random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def norm(x, w):
    return F.batch_norm(x, w, w.abs() + 1, w, w, training=False)


CASES = {
    "product": (lambda x, w: x @ w, [(4, 3), (3, 5)], [3, 4, 5]),
    "batched product": (lambda x, w: x @ w, [(2, 4, 3), (2, 3, 5)], [2, 3, 4, 5]),
    "linear": (F.linear, [(4, 3), (5, 3), (5,)], [3, 4, 5]),
    "broadcast sum": (lambda x, b: x + b, [(4, 3), (3,)], [3, 4]),
    "nonlinearity": (lambda x: torch.relu(x - 0.5), [(4, 3)], [3, 4]),
    "convolution": (F.conv2d, [(2, 3, 6, 5), (4, 3, 3, 2), (4,)], [2, 3, 4]),
    "grouped convolution": (
        lambda x, w: F.conv2d(x, w, groups=2), [(3, 4, 5, 5), (6, 2, 3, 3)], [2, 2, 3, 3],
    ),
    "depthwise convolution": (lambda x, w: F.conv1d(x, w, groups=4), [(2, 4, 6), (4, 1, 3)], [2, 4]),
    "transposed convolution": (F.conv_transpose1d, [(2, 3, 6), (3, 5, 2)], [2, 3, 5]),
    "batch norm": (norm, [(4, 3, 5), (3,)], [3, 4, 5]),
    "layer norm": (lambda x, w: F.layer_norm(x, (3,), w), [(4, 3), (3,)], [3, 4]),
    "group norm": (lambda x, w: F.group_norm(x, 2, w), [(3, 6, 5), (6,)], [2, 3, 3, 5]),
    "softmax": (lambda x: x.softmax(-1), [(4, 3)], [3, 4]),
    "mean": (lambda x: x.mean(1), [(4, 3, 2)], [2, 3, 4]),
    "norm of columns": (lambda x: x.norm(dim=0), [(4, 3)], [3, 4]),
    "largest": (lambda x: x.amax(1), [(4, 3)], [3, 4]),
    "pooling": (lambda x: F.max_pool2d(x, 2), [(3, 2, 4, 4)], [2, 3]),
    "cumulative sum": (lambda x: x.cumsum(0), [(4, 3)], [3]),
    "flip": (lambda x: x.flip(1), [(4, 3)], [4]),
    "lower triangle": (torch.tril, [(2, 4, 4)], [2]),
    "weight norm": (lambda v, g: torch._weight_norm(v, g, 0), [(4, 3), (4, 1)], [3, 4]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_may_be_permuted_commutes_with_the_operation(name):
    """Oracle: the operation run on permuted arguments; the sizes of what may move, found by hand."""
    function, shapes, sizes = CASES[name]
    free = check_equivariance(function, *(random(*shape) for shape in shapes))
    assert sorted(symbol.extent for symbol in free) == sizes


def test_an_operation_without_a_rule_fixes_what_it_touches():
    """Oracle: a determinant depends on positions, and no rule speaks of it."""
    x, w = random(3, 3), random(3, 4)
    tracer, _ = trace(lambda x, w: torch.linalg.inv(x) @ w, x, w)
    assert any("inv" in why or "solve" in why for why in tracer.opaque)
    assert all(term.why for term in tracer.axes_of(x))
    assert not tracer.axes_of(w)[1].why

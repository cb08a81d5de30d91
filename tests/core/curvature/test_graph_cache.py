"""Kept graphs, cut micro-batches and layouts change cost, never numbers."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from cases import CASES, Centred, ConvNet, Fixed, generator, images, mlp, vectors
from torch import nn

import landscape
from landscape import Problem
from landscape.core.curvature import graph_cache as graphs
from landscape.core.problem.passes import pieces as passes
from landscape.core.problem.passes.saved_bytes import count_saved_bytes

MAKERS = {
    "hessian": landscape.hessian,
    "ggn": landscape.ggn,
    "fisher": lambda p, **k: landscape.fisher(p, type="mc", samples=2, **k),
    "empirical_fisher": landscape.empirical_fisher,
}
every_operator = pytest.mark.parametrize("name", MAKERS)


def block(problem, k=3, seed=1):
    return torch.randn(problem.size, k, generator=generator(seed), dtype=problem.dtype)


def convnet(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Problem(ConvNet(), "cross_entropy", images(), **({"dtype": torch.float64} | options))


@every_operator
def test_kept_graphs_give_the_same_bits(name):
    """Oracle: an operator that keeps none; memory must not decide numbers."""
    problem = convnet(batch_size=5, weight_decay=0.1)
    kept, fresh = MAKERS[name](problem, memory_budget=1 << 30), MAKERS[name](problem, memory_budget=0)
    V = block(problem)
    for _ in range(3):
        assert torch.equal(kept @ V, fresh @ V)
        assert torch.equal(kept @ V[:, 1], fresh @ V[:, 1])
    assert kept.keeps_graphs
    assert not fresh.keeps_graphs


def test_a_single_product_keeps_nothing():
    """Oracle: the promise that one product needs the memory of one micro-batch."""
    problem = convnet(batch_size=5)
    H = landscape.hessian(problem, memory_budget=1 << 30)
    H @ block(problem)
    assert not H.keeps_graphs
    H @ block(problem)
    assert H.keeps_graphs


def test_the_budget_decides_by_bytes():
    """Oracle: the plan's own estimate, one byte above and at it."""
    problem = convnet(batch_size=5)
    H = landscape.hessian(problem, memory_budget=1 << 30)
    H @ block(problem)
    needed = H._graphs._plan.bytes
    for budget, keeps in ((needed - 1, False), (needed, True)):
        H = landscape.hessian(problem, memory_budget=budget)
        for _ in range(2):
            H @ block(problem)
        assert H.keeps_graphs is keeps


def test_the_estimate_is_what_kept_graphs_take():
    """Oracle: autograd's saved tensors counted over all micro-batches, not scaled up from a few examples."""
    problem = Problem(mlp(), "cross_entropy", vectors(60), batch_size=20, dtype=torch.float64)
    H = landscape.hessian(problem)
    H @ block(problem)
    with count_saved_bytes(problem.module.parameters()) as saved:
        built = [H._graph(b, i) for i, b in enumerate(problem.batches)]
    expected = saved.total + 3 * problem.theta.nbytes
    del built
    assert 0.7 * expected < H._graphs._plan.bytes < 1.4 * expected


@every_operator
def test_moved_parameters_are_noticed(name):
    """Oracle: a problem made at the other point; kept graphs of the first must not answer."""
    problem = CASES["mlp"].problem()
    other = problem.theta + 0.3
    model = CASES["mlp"].model()
    nn.utils.vector_to_parameters(other, model.parameters())
    V = block(problem)
    operator = MAKERS[name](problem, memory_budget=1 << 30)
    here = [operator @ V for _ in range(2)][1]
    assert operator.keeps_graphs
    expected = MAKERS[name](Problem(model, "cross_entropy", vectors())) @ V
    with problem.at(other):
        assert torch.equal(operator @ V, expected)
        assert torch.equal(operator @ V, expected)
        assert torch.equal(operator @ V, expected)
    assert not torch.allclose(here, expected)
    assert torch.equal(operator @ V, here)


def test_written_parameters_and_buffers_are_noticed():
    """Oracle: a fresh operator after the write."""
    problem = convnet()
    V = block(problem)
    H = landscape.hessian(problem, memory_budget=1 << 30)
    before = [H @ V for _ in range(3)][2]
    norm = problem.module.body[1]
    for tensor in (norm.running_var, norm.running_mean, problem.parameters[0], norm.bias):
        with torch.no_grad():
            tensor.add_(0.1)
        after = H @ V
        assert torch.equal(after, landscape.hessian(problem) @ V)
        assert not torch.allclose(after, before)
        H @ V
        before = H @ V
        assert H.keeps_graphs


@every_operator
def test_kept_graphs_go_with_their_operator(name):
    """Oracle: weak references, with the cycle collector off: nothing may wait for it."""
    problem = convnet(batch_size=5)

    def keeping():
        operator = MAKERS[name](problem, memory_budget=1 << 30)
        for _ in range(2):
            operator @ block(problem)
        graph = operator._graphs._kept[0]
        assert operator.keeps_graphs
        return operator, weakref.ref(graph)

    gc.collect()
    gc.disable()
    try:
        operator, graph = keeping()
        del operator
        assert graph() is None
        operator, graph = keeping()
        operator.release()
        assert graph() is None
        operator, graph = keeping()
        with operator:
            operator @ block(problem)
            assert operator.keeps_graphs
        assert graph() is None
        assert not operator.keeps_graphs
    finally:
        gc.enable()


@pytest.mark.parametrize("budget", [0, 1 << 30])
@every_operator
def test_products_leak_nothing(name, budget):
    """Oracle: the number of live tensors after many products, with the cycle collector off."""
    problem = convnet(batch_size=5)
    operator, V = MAKERS[name](problem, memory_budget=budget), block(problem)

    def live():
        return sum(issubclass(type(item), torch.Tensor) for item in gc.get_objects())

    for _ in range(3):
        operator @ V
    gc.collect()
    gc.disable()
    try:
        before = live()
        for _ in range(10):
            operator @ V
        assert live() == before
    finally:
        gc.enable()


@every_operator
def test_a_failed_product_keeps_nothing(name):
    """Oracle: after an error in the midst of a pass, the next product is right."""
    problem = convnet(batch_size=5)
    V, operator = block(problem), MAKERS[name](problem, memory_budget=1 << 30)
    expected, build = operator @ V, operator._graph

    def failing(batch, start):
        if start == 5:
            raise MemoryError
        return build(batch, start)

    operator._graph = failing
    with pytest.raises(MemoryError):
        operator @ V
    assert not operator.keeps_graphs
    operator._graph = build
    for _ in range(2):
        assert torch.equal(operator @ V, expected)


# Cutting


@pytest.fixture
def tiny_graphs(monkeypatch):
    """Micro-batches of at most two examples."""
    monkeypatch.setattr(passes, "GRAPH_BYTES", 1)
    monkeypatch.setattr(passes, "LEAST_EXAMPLES", 2)


@pytest.mark.parametrize("case", ["mlp", "conv_batchnorm", "attention", "transformer_dict", "regression"])
@pytest.mark.parametrize("name", ["hessian", "ggn", "empirical_fisher"])
def test_cut_micro_batches_give_the_same_sums(name, case, tiny_graphs):
    """Oracle: one graph over all the data, made beforehand."""
    problem = CASES[case].problem()
    operator, V = MAKERS[name](problem), block(problem)
    found = operator @ V
    plan = operator._graphs._plan
    assert [p.size for p in plan.pieces] == [2] * 6 + [1]
    operator._graphs._plan = graphs._Plan(problem.batches, plan.channels_last, plan.bytes)
    torch.testing.assert_close(found, operator @ V, rtol=1e-11, atol=1e-13)


def pieces(problem):
    H = landscape.hessian(problem)
    H @ block(problem)
    return [p.size for p in H._graphs._plan.pieces]


def test_batches_are_left_whole_where_cutting_would_change_the_loss(tiny_graphs):
    """Oracle: what each model or loss says of its batch."""
    data = vectors()
    assert pieces(Problem(mlp(), "cross_entropy", data, dtype=torch.float64)) == [2] * 6 + [1]
    assert pieces(Problem(Centred(), "cross_entropy", data, dtype=torch.float64)) == [13]
    assert pieces(Problem(Fixed(), "cross_entropy", data, dtype=torch.float64)) == [13]
    assert pieces(convnet(batchnorm="train")) == [13]
    assert pieces(CASES["scalar_loss"].problem()) == [13]
    mask = torch.ones(4, dtype=torch.float64)  # not by example

    def masked(model, batch):
        return model(batch[0] * batch[1])

    batches = [(data[0], mask, data[1])]
    assert pieces(Problem(mlp(), "cross_entropy", batches, forward=masked, dtype=torch.float64)) == [13]


def test_small_batches_are_not_cut():
    """Oracle: the rule: graphs of a few kilobytes stay whole."""
    assert pieces(convnet()) == [13]


# Layout


class Flattened(nn.Module):
    """Views a convolution's output, which only the contiguous layout allows."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(48, 3)

    def forward(self, x):
        return self.head(self.conv(x).tanh().view(len(x), 48))


class Pooled(Flattened):
    def forward(self, x):
        return self.head(self.conv(x).tanh().flatten(1))


@pytest.mark.parametrize(("model", "takes"), [(Flattened, False), (Pooled, True)])
def test_channels_last_where_the_model_takes_it(model, takes):
    """Oracle: the same product in float64, which is always laid out as given."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = model()
    x = torch.randn(9, 2, 4, 4, generator=generator(1))
    y = torch.arange(9) % 3
    single = landscape.hessian(Problem(net, "cross_entropy", (x, y)))
    double = landscape.hessian(Problem(net, "cross_entropy", (x, y), dtype=torch.float64))
    V = block(single.problem)
    torch.testing.assert_close((single @ V).double(), double @ V, rtol=1e-4, atol=1e-5)
    assert single._graphs._plan.channels_last is takes
    assert double._graphs._plan.channels_last is False
    assert x.is_contiguous()

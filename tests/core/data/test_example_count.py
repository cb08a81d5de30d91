"""How many examples graph batches hold: by the target returned, by the losses, or as the user says."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape import Problem
from landscape.errors import InputError


class Graphs(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 1)

    def forward(self, x, index, graphs):
        nodes = torch.tanh(self.a(x))
        return self.b(torch.zeros(graphs, 6).index_add(0, index, nodes)).squeeze(1)


def graphs(number, nodes):
    index = torch.arange(number).repeat_interleave(nodes)
    return {"x": torch.randn(len(index), 4), "index": index, "energy": torch.randn(number)}


def batches():
    torch.manual_seed(3)
    return [graphs(5, 3), graphs(2, 20), graphs(3, 1)]


def run(model, batch):
    return model(batch["x"], batch["index"], len(batch["energy"]))


def exact(data):
    """The mean over graphs, graph by graph."""
    each = [(run(Graphs(), batch) - batch["energy"]) ** 2 for batch in data]
    return torch.cat(each).double().mean().item()


def test_the_target_that_forward_returns_counts():
    """Oracle: the mean over the ten graphs by hand; nodes and edges are no examples."""
    data = batches()
    for loss in (lambda o, t: ((o - t) ** 2).mean(), lambda o, t: (o - t) ** 2, "mse", nn.MSELoss()):
        problem = Problem(Graphs(), loss, data, forward=lambda m, b: (run(m, b), b["energy"]))
        assert problem.examples == 10
        assert problem.loss() == pytest.approx(exact(data), rel=1e-6)


def test_losses_per_example_count_where_there_is_no_target():
    """Oracle: the same mean; the forward returns the losses themselves."""
    data = batches()
    problem = Problem(
        Graphs(), lambda o, t: o, data, forward=lambda m, b: ((run(m, b) - b["energy"]) ** 2, None)
    )
    assert problem.examples == 10 and problem.loss() == pytest.approx(exact(data), rel=1e-6)


def test_what_nothing_tells_is_asked_back_and_said_with_size():
    """Oracle: a scalar of the forward's own says nothing about numbers; size= does."""
    data = batches()

    def own(model, batch):
        return ((run(model, batch) - batch["energy"]) ** 2).mean(), None

    with pytest.raises(InputError, match=r"how many examples batch 0 holds is not clear.*size="):
        Problem(Graphs(), lambda o, t: o, data, forward=own)
    problem = Problem(Graphs(), lambda o, t: o, data, forward=own, size=lambda b: len(b["energy"]))
    assert problem.examples == 10 and problem.loss() == pytest.approx(exact(data), rel=1e-6)
    with pytest.raises(InputError, match="size= failed on batch 0"):
        Problem(Graphs(), lambda o, t: o, data, forward=own, size=lambda b: len(b["y"]))


def test_lists_of_examples_count_by_their_length():
    """Oracle: three images of two channels are three examples, not two."""
    images, boxes = [torch.randn(2, 4, 4) for _ in range(3)], [{"box": torch.ones(1)} for _ in range(3)]
    model = nn.Conv2d(2, 1, 1)

    def forward(model, batch):
        return torch.stack([model(image).mean() for image in batch[0]]), None

    problem = Problem(model, lambda o, t: o**2, [(images, boxes)], forward=forward)
    assert problem.examples == 3

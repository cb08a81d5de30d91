"""The private copy: nothing is shared with the caller's model, and nothing of it changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.core.problem.private_model import (
    Substituted,
    bind,
    check_weights,
    fill,
    plain_encoder,
    private_copy,
    set_mode,
)
from landscape.errors import InputError

RING = torch.eye(4).roll(1, 0).double()


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.two.weight = self.one.weight
        self.norm = nn.BatchNorm1d(3)
        self.cache = (self.one.weight * 2).sum()  # not a leaf: torch cannot deep-copy it

    def forward(self, x):
        return self.norm(self.two(self.one(x)))


def test_a_copy_shares_no_memory_and_keeps_ties():
    """Oracle: addresses in memory; equal values; the caller's flags."""
    model = Tied()
    copied = private_copy(model, ("one.weight",), torch.device("cpu"), torch.float64)
    theirs = {t.data_ptr() for t in (*model.parameters(), *model.buffers())}
    assert not theirs & {t.data_ptr() for t in (*copied.parameters(), *copied.buffers())}
    assert copied.one.weight is copied.two.weight and copied.one.weight.dtype == torch.float64
    assert torch.equal(copied.one.weight, model.one.weight.double())
    assert copied.one.weight.requires_grad and not copied.norm.weight.requires_grad
    assert copied.norm.num_batches_tracked.dtype == torch.long
    assert model.norm.weight.requires_grad and model.one.weight.dtype == torch.float32


def test_what_cannot_be_copied_is_named():
    """Oracle: a generator, which Python refuses to copy."""
    model = nn.Linear(1, 1)
    model.stream = (i for i in range(3))
    with pytest.raises(InputError, match=r"Linear cannot be copied \(TypeError.*generator"):
        private_copy(model, (), torch.device("cpu"), None)


def test_weights_that_are_not_finite_are_named():
    """Oracle: one entry set by hand; an attention mask may hold −∞, running statistics may not."""
    model = nn.BatchNorm1d(2)
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    check_weights(model)
    model.running_var[1] = torch.inf
    with pytest.raises(InputError, match=r"buffer 'running_var' holds 1 NaN or infinite of 2"):
        check_weights(model)
    with pytest.raises(InputError, match=r"'weight' has no values yet"):
        check_weights(nn.LazyLinear(2))


def test_batch_statistics_are_used_and_not_written():
    """Oracle: the mean and variance of the batch, by hand; the buffers before."""
    model = nn.BatchNorm1d(2, affine=False)
    x = torch.randn(50, 2) * 3 + 1
    set_mode(model, "batch")
    before = model.running_mean.clone()
    torch.testing.assert_close(model(x), (x - x.mean(0)) / (x.var(0, unbiased=False) + model.eps).sqrt())
    assert torch.equal(model.running_mean, before) and model.num_batches_tracked == 0


def test_writing_the_buffer_moves_the_parameters():
    """Oracle: the parameters read back."""
    model = nn.Linear(2, 1)
    point = bind(list(model.parameters()), torch.arange(3.0))
    point += 1.0
    assert model.weight.tolist() == [[1.0, 2.0]] and model.bias.tolist() == [3.0]


def test_a_model_called_with_other_weights():
    """Oracle: the product by hand; the model's own weights afterwards."""
    model = nn.Linear(2, 1, bias=False)
    own = model.weight.detach().clone()
    other = Substituted(model, {"weight": torch.tensor([[2.0, 3.0]])})
    assert other(torch.ones(1, 2)).tolist() == [[5.0]] and other.in_features == 2
    assert torch.equal(model.weight, own)


@pytest.mark.parametrize("switch", [True, False])
def test_torchs_switch_is_put_back(switch):
    """Oracle: the switch before, also after an error."""
    torch.backends.mha.set_fastpath_enabled(switch)
    try:
        with pytest.raises(ZeroDivisionError), plain_encoder():
            assert not torch.backends.mha.get_fastpath_enabled()
            raise ZeroDivisionError
        assert torch.backends.mha.get_fastpath_enabled() == switch
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_weights_without_values_are_named():
    """Oracle: the meta device holds shapes alone; parameters and buffers."""
    with torch.device("meta"):
        model, norm = nn.Linear(3, 2), nn.BatchNorm1d(2)
    with pytest.raises(InputError, match=r"parameter 'weight' is on the meta device .*to_empty"):
        check_weights(model)
    norm.weight, norm.bias = (nn.Parameter(torch.ones(2)) for _ in range(2))
    with pytest.raises(InputError, match="buffer 'running_mean' is on the meta device"):
        check_weights(norm)


@pytest.mark.filterwarnings("ignore:Sparse CS")  # torch warns that they are new
@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
def test_sparse_buffers_are_copied_and_told_apart(layout):
    """Oracle: a graph's adjacency matrix, dense; the loss and its Hessian are the same."""
    x, y = torch.randn(4, 3).double(), torch.arange(4) % 2

    class Graph(nn.Module):
        def __init__(self, adjacency):
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.register_buffer("adjacency", adjacency)

        def forward(self, x):
            return self.adjacency @ torch.tanh(self.layer(x))

    found = []
    for matrix in (RING, getattr(RING, layout)(), getattr(2 * RING, layout)()):
        torch.manual_seed(0)
        problem = Problem(Graph(matrix).double(), "cross_entropy", (x, y))
        found.append((problem.loss(), landscape.spectrum(problem, k=2)["eigenvalues"].values, problem))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-9)
    assert len({problem.fingerprint()[0] for *_, problem in found[1:]}) == 2


class Versioned(nn.Linear):
    """As MNASNet of torchvision: its states say which version they are of."""

    _version = 2

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        if local_metadata.get("version") not in (1, 2):
            raise ValueError("version should be set to 1 or 2")
        self.loaded = local_metadata["version"]
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


def test_states_without_versions_are_loaded():
    """Oracle: torch refuses the plain mapping; values, and the version of a state that has one."""
    model, values = Versioned(2, 1), {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}
    with pytest.raises(ValueError, match="version"):
        model.load_state_dict(values)
    fill(model, values)
    assert model.weight.tolist() == [[1.0, 1.0]] and model.loaded == 2
    older = Versioned(2, 1).state_dict()
    older._metadata[""]["version"] = 1
    fill(model, older)
    assert model.loaded == 1 and torch.equal(model.weight, older["weight"])

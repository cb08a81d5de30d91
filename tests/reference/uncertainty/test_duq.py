"""DUQ by its formulas."""

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.uncertainty import DUQ, duq_network


def network(**options):
    torch.manual_seed(0)
    return DUQ(nn.Linear(3, 5), 5, classes=4, embedding=6, **options)


@torch.no_grad()
def test_the_kernel_at_a_centroid_is_1_and_the_score_there_0():
    """Oracle: the definition of the kernel."""
    model = network().eval()
    x = torch.randn(1, 3)
    model.sums[:] = model.embeddings(x)[0].detach() * model.counts
    assert model.draws(x).score.item() == pytest.approx(0.0, abs=1e-6)
    torch.testing.assert_close(model.log_kernels(model.embeddings(x)), torch.zeros(1, 4), atol=1e-6, rtol=0)
    assert model.draws(1000 * x).score.item() == pytest.approx(1.0)


def test_kernels_and_probabilities_are_their_formulas():
    """Oracle: loops over classes and embeddings."""
    model = network(length=0.5).eval()
    x = torch.randn(7, 3)
    h, centroids = model.body(x), model.sums / model.counts
    K = torch.stack(
        [
            (-(h @ model.weight[:, c].T - centroids[:, c]).square().mean(1) / (2 * 0.5**2)).exp()
            for c in range(4)
        ],
        1,
    )
    torch.testing.assert_close(model(x).exp(), K / K.sum(1, keepdim=True))
    torch.testing.assert_close(model.draws(x).score.float(), 1 - K.amax(1))
    torch.testing.assert_close(model.train()(x), K)


def test_centroids_are_moving_means_of_their_classes():
    """Oracle: the recursion of the paper for one class, another without examples keeps its centroid."""
    model = network(momentum=0.9)
    embeddings, classes = torch.randn(3, 6, 4), torch.tensor([1, 1, 2])
    counts, sums = model.counts.clone(), model.sums.clone()
    model.move_centroids(embeddings, classes)
    torch.testing.assert_close(model.counts, 0.9 * counts + 0.1 * torch.tensor([0.0, 2, 1, 0]))
    torch.testing.assert_close(model.sums[:, 1], 0.9 * sums[:, 1] + 0.1 * embeddings[:2, :, 1].sum(0))
    torch.testing.assert_close((model.sums / model.counts)[:, 0], (sums / counts)[:, 0])


def test_a_builder_puts_the_kernels_in_the_place_of_the_head():
    """Oracle: the widths of the network's head."""
    model = duq_network("landscape.reference.models:mlp", {"widths": [3, 8, 4]}, embedding=5)
    assert model.weight.shape == (5, 4, 8) and model(torch.randn(2, 3)).shape == (2, 4)
    nested = duq_network("landscape.reference.models:residual_mlp", {"width": 8, "depth": 2})
    assert isinstance(nested.body.head, nn.Identity) and isinstance(nested.body.block2.fc, nn.Linear)
    with pytest.raises(InputError, match="no linear layer"):
        duq_network("torch.nn:Flatten", {})
    with pytest.raises(InputError, match="momentum is below 1"):
        network(momentum=1.0)


def test_a_class_that_is_not_seen_keeps_its_centroid():
    """Oracle: the centroid itself: its count and its sum shrink by one factor, and 0/0 is none."""
    model = duq_network("landscape.reference.models:mlp", {"widths": [3, 5, 2]}, momentum=0.0)
    embeddings = model.embeddings(torch.randn(4, 3)).detach()
    before = (model.sums / model.counts)[:, 1].clone()
    model.move_centroids(embeddings, torch.zeros(4, dtype=torch.long))
    after = model.sums / model.counts
    torch.testing.assert_close(after[:, 1], before)
    torch.testing.assert_close(after[:, 0], embeddings[:, :, 0].mean(0))

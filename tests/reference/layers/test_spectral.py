"""The spectral bound against dense matrices of the linear maps that layers are."""

import copy

import pytest
import torch
from torch import nn

from landscape.core.weights.map_norm import map_norm
from landscape.errors import InputError
from landscape.reference.layers import SpectralBound, spectral_bound

torch.manual_seed(1)
CASES = [
    (nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 7, 7)),
    (nn.Conv2d(3, 4, 3, padding="same"), (3, 5, 6)),
    (nn.Conv2d(4, 4, 1, stride=2, groups=2), (4, 5, 5)),
    (nn.Conv2d(2, 2, 3, dilation=2), (2, 6, 6)),
    (nn.Conv1d(2, 3, 3, stride=2, padding=1), (2, 7)),
    (nn.Conv3d(1, 2, (1, 2, 3)), (1, 3, 4, 5)),
    (nn.Linear(6, 4), (6,)),
]


def dense(layer, shape):
    """The matrix of the linear part, by the images of unit vectors."""
    size = int(torch.Size(shape).numel())
    eye = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    with torch.no_grad():
        return (layer(eye) - layer(torch.zeros(1, *shape, dtype=torch.float64))).flatten(1).T


@pytest.mark.parametrize(("layer", "shape"), CASES)
def test_norms_are_those_of_the_dense_matrix(layer, shape):
    """Oracle: torch.linalg's largest singular value of the dense matrix of the map."""
    layer = copy.deepcopy(layer).double()
    exact = float(torch.linalg.matrix_norm(dense(layer, shape), 2))
    bound = SpectralBound(layer, shape, bound=0.5 * exact, iterations=2000)
    with torch.no_grad():
        assert float(bound._linear(layer.weight, bound.direction).norm()) <= exact * (1 + 1e-9)
    limited = bound(layer.weight)  # in training mode, after as many more iterations
    torch.testing.assert_close(limited, 0.5 * layer.weight, atol=0, rtol=1e-6)
    loose = SpectralBound(layer, shape, bound=2 * exact)
    assert torch.equal(loose(layer.weight), layer.weight)
    assert map_norm(layer, shape, tol=1e-12)[0] == pytest.approx(exact, rel=1e-6)


def test_the_norm_of_the_matrix_of_filters_is_another():
    """Oracle: the dense matrix: the reshaped kernel, which many codes bound, is too small a norm."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1).double()
    exact = torch.linalg.matrix_norm(dense(layer, (3, 8, 8)), 2)
    assert exact > 1.2 * torch.linalg.matrix_norm(layer.weight.flatten(1), 2)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 3)
    )


def test_a_bounded_network_keeps_its_bound_through_training_and_its_head():
    """Oracle: dense matrices of the layers after training; in eval mode two passes give the same bits.

    With one power iteration a step the convolution ends above it: its largest singular values lie close.
    Passes without a step follow the last steps, which raise what lies below the bound in new directions.
    """
    model = spectral_bound(network(), (1, 8, 8), bound=0.7, iterations=30)
    x, y = torch.randn(32, 1, 8, 8), torch.arange(32) % 3
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    for _ in range(20):
        model(x)
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    model.eval()
    assert torch.equal(model(x), model(x))
    assert all(torch.equal(value, buffers[name]) for name, value in model.named_buffers())
    model = model.double()
    for layer, shape in ((model[0], (1, 8, 8)), (model[3], (64,))):
        assert float(torch.linalg.matrix_norm(dense(layer, shape), 2)) == pytest.approx(0.7, rel=5e-3)
    assert not hasattr(model[4], "parametrizations")
    again = spectral_bound(network(), (1, 8, 8), bound=0.7).double()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(x.double()), model(x.double()))


def test_the_gradient_is_that_of_the_norm():
    """Oracle: finite differences of W·c/σ(W), σ by torch.linalg."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 3).double()
    bound = SpectralBound(layer, (4,), bound=0.1, iterations=200)
    bound(layer.weight)
    bound.eval()
    pull = torch.randn(3, 4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((bound(layer.weight) * pull).sum(), layer.weight)

    def exact(weight):
        return (0.1 * weight / torch.linalg.matrix_norm(weight, 2) * pull).sum()

    (truth,) = torch.autograd.grad(exact(layer.weight), layer.weight)
    torch.testing.assert_close(gradient, truth, rtol=1e-6, atol=1e-9)


def test_frozen_layers_stay_and_what_cannot_be_bounded_is_said():
    """Oracle: the declaration."""
    model = network()
    model[0].requires_grad_(False)
    spectral_bound(model, (1, 8, 8))
    assert not hasattr(model[0], "parametrizations") and hasattr(model[3], "parametrizations")
    with pytest.raises(InputError, match="no linear layer below its head"):
        spectral_bound(nn.Sequential(nn.Linear(2, 2)), (2,))
    with pytest.raises(InputError, match="no inputs of shape"):
        spectral_bound(network(), (2, 8, 8))
    with pytest.raises(InputError, match="bound is positive"):
        spectral_bound(network(), (1, 8, 8), bound=0.0)
    with pytest.raises(InputError, match="pad with zeros"):
        spectral_bound(
            nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), nn.Linear(8, 8)), (1, 8, 8)
        )


def test_every_convolution_is_bounded_and_what_cannot_be_is_named():
    """Oracle: the dense matrix of a convolution along one axis; the sentence the user must see."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(1, 4, 3), nn.Flatten(), nn.Linear(24, 2))
    nn.init.normal_(model[0].weight, std=9.0)
    spectral_bound(model.double(), [1, 8], 1.0, iterations=300)
    model(torch.zeros(1, 1, 8, dtype=torch.float64))
    norm = torch.linalg.matrix_norm(dense(model.eval()[0], (1, 8)), 2)
    assert float(norm) == pytest.approx(1.0, rel=1e-3)
    with pytest.raises(InputError, match="layer '0' is a ConvTranspose2d"):
        spectral_bound(nn.Sequential(nn.ConvTranspose2d(1, 1, 3), nn.Linear(1, 1)), [1, 4, 4])

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.reference.compression import factorise, low_rank
from landscape.reference.models import vgg


def net():
    torch.manual_seed(0)
    return vgg(width=4, blocks=(1, 1), head="gap", image=8, classes=3).eval()


def images():
    return torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def test_the_full_rank_changes_nothing():
    """Oracle: identity, bit for bit: no weight is touched."""
    model = net()
    same = low_rank(model, share=1.0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))


def test_the_error_is_that_of_the_singular_values_left_out():
    """Oracle: Eckart & Young: ‖W − W_r‖_F² is the sum of the other singular values squared."""
    model = net()
    weight = model.stages[1].conv1.weight.flatten(1).double()  # 8 × 36
    left = low_rank(model, share=0.25).stages[1].conv1.weight.flatten(1).double()
    assert int(torch.linalg.matrix_rank(left, rtol=1e-5)) == 2
    rest = torch.linalg.svdvals(weight)[2:].square().sum()
    torch.testing.assert_close((weight - left).square().sum(), rest, rtol=1e-5, atol=1e-9)


def test_transposed_and_grouped_kernels_have_the_rank_of_their_matrix():
    """Oracle: the matrix of outputs × (inputs · taps), laid out by hand."""
    torch.manual_seed(1)
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2)
    reduced = low_rank(nn.Sequential(layer), share=0.5)[0].weight
    matrix = reduced.view(2, 2, 3, 9).transpose(1, 2).reshape(6, 18)
    assert int(torch.linalg.matrix_rank(matrix.double(), rtol=1e-5)) == 3


def test_two_layers_do_what_one_of_low_rank_does():
    """Oracle: the network before, whose outputs they must give with fewer weights."""
    model = low_rank(net(), share=0.25)
    pairs = factorise(model)
    torch.testing.assert_close(pairs(images()), model(images()), rtol=1e-4, atol=1e-5)
    count = lambda m: sum(p.numel() for p in m.parameters())  # noqa: E731
    # 4 × 9, of rank 1, becomes 4 + 9 weights; 8 × 36, of rank 2, 2 · (8 + 36); 3 × 8, of rank 1, 3 + 8
    assert count(model) - count(pairs) == (36 - 13) + (288 - 88) + (24 - 11)
    assert not pairs.training
    assert count(factorise(net())) == count(net())


def test_strides_and_biases_are_kept():
    """Oracle: the layer itself."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1, padding_mode="circular"), nn.ReLU())
    model = low_rank(model, share=0.25)
    x = torch.randn(2, 4, 6, 6)
    pairs = factorise(model)
    assert isinstance(pairs[0], nn.Sequential)
    torch.testing.assert_close(pairs(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.2, float("nan")])
def test_shares_out_of_range_are_refused(share):
    """Oracle: the sentence."""
    with pytest.raises(InputError, match="share lies above 0 and at most at 1"):
        low_rank(net(), share=share)


def test_nan_becomes_nan_and_is_not_factorised():
    """Oracle: the rule that NaN stays NaN; the other layer is reduced."""
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    reduced = low_rank(model, share=0.25)
    assert reduced[0].weight.isnan().all()
    pairs = factorise(reduced)
    assert isinstance(pairs[0], nn.Linear) and isinstance(pairs[1], nn.Sequential)

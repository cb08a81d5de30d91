import pytest
import torch

from landscape.errors import InputError
from landscape.reference.models.swin import WindowBlock, windowed


def count(model):
    return sum(p.numel() for p in model.parameters())


def linear(inputs, outputs):
    return inputs * outputs + outputs


def test_windowed_parameter_count():
    """Oracle: counted by hand, position biases and merging included."""
    model = windowed(dim=6, depths=(1, 2), heads=(2, 3), window=2, patch=2, image=8, classes=3, mlp_ratio=2)

    def block(dim, heads):
        attn = linear(dim, 3 * dim) + linear(dim, dim) + 9 * heads
        return 4 * dim + attn + linear(dim, 2 * dim) + linear(2 * dim, dim)

    merging = 2 * 24 + 24 * 12
    assert count(model) == 4 * 6 + 6 + block(6, 2) + merging + 2 * block(12, 3) + 24 + linear(12, 3)


def test_shifted_windows_do_not_mix_what_the_roll_brings_together():
    """Oracle: reach. A pixel may act only on the shifted windows of the unrolled map it lies in."""
    torch.manual_seed(2)
    block = WindowBlock(4, 2, 4, 8, True, 2)
    x = torch.randn(1, 8, 8, 4, requires_grad=True)

    def reach(row, column):
        (gradient,) = torch.autograd.grad(block(x)[0, row, column].sum(), x)
        return gradient[0].abs().sum(-1) > 0

    corner, middle = torch.zeros(8, 8, dtype=torch.bool), torch.zeros(8, 8, dtype=torch.bool)
    corner[:2, :2], middle[2:6, 2:6] = True, True
    assert torch.equal(reach(0, 0), corner)
    assert torch.equal(reach(3, 3), middle)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: windowed(window=5), "do not tile"),
        (lambda: windowed(heads=(2,)), "heads for each stage"),
        (lambda: windowed(image=30), "cannot be cut"),
        (lambda: windowed(drop_path=-0.1), "windowed: drop_path"),
    ],
)
def test_what_does_not_fit_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()

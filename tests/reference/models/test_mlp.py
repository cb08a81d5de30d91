import pytest
import torch

from landscape.errors import InputError
from landscape.reference.models.mlp import gaussian_mlp, mlp


def test_mlp_is_relu_between_linear_layers():
    """Oracle: the same network as two matrix products."""
    model = mlp((6, 4, 3))
    x = torch.randn(5, 2, 3)
    w = dict(model.named_parameters())
    hidden = (x.flatten(1) @ w["fc1.weight"].T + w["fc1.bias"]).clamp(min=0)
    torch.testing.assert_close(model(x), hidden @ w["fc2.weight"].T + w["fc2.bias"])
    assert len(w) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlp((3,)), "at least two widths"),
        (lambda: mlp((3, 0)), r"widths\[1\] must be at least 1"),
    ],
)
def test_bad_sizes_are_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()


def test_a_regression_has_a_mean_and_a_variance_for_each_target():
    """Oracle: shapes; with a variance of its own the network puts out means alone."""
    model = gaussian_mlp(3, (4,), 2)
    assert model(torch.zeros(5, 3)).shape == (5, 4)
    assert model.draws(torch.zeros(5, 3)).mean.shape == (1, 5, 2)
    fixed = gaussian_mlp(3, (), 2, variance=0.5)
    assert fixed.model.fc1.out_features == 2
    assert (fixed.draws(torch.zeros(5, 3)).variance == 0.5).all()


def test_dropout_has_no_parameters():
    """Oracle: the same names with and without it; nothing is dropped in eval mode."""
    plain, dropped = mlp((3, 4, 5, 1)), mlp((3, 4, 5, 1), dropout=0.5)
    dropped.load_state_dict(plain.state_dict())
    x = torch.randn(6, 3)
    assert torch.equal(dropped.eval()(x), plain(x))
    assert not torch.equal(dropped.train()(x), plain(x))
    assert [name for name, part in dropped.named_modules() if isinstance(part, torch.nn.Dropout)] == [
        "dropout1",
        "dropout2",
    ]

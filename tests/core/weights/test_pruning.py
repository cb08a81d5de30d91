import pytest
import torch

from landscape.core.weights.pruning import dropped
from landscape.errors import InputError

WEIGHTS = [torch.tensor([[3.0, -1.0], [0.5, 0.0]]), torch.tensor([4.0, -0.2, 6.0])]


def test_the_smallest_of_all_or_of_each():
    """Oracle: by hand; of seven weights 0.5 · 7 rounds to 4, of four and three to two each."""
    whole = dropped(WEIGHTS, 0.5)
    assert [mask.tolist() for mask in whole] == [[[False, True], [True, True]], [False, True, False]]
    layers = dropped(WEIGHTS, 0.5, "layer")
    assert [mask.tolist() for mask in layers] == [[[False, False], [True, True]], [True, True, False]]


@pytest.mark.parametrize("scope", ["global", "layer", "random"])
def test_masks_of_smaller_shares_lie_within_those_of_larger_ones(scope):
    """Oracle: inclusion of sets, and counting."""
    before = [torch.zeros_like(w, dtype=torch.bool) for w in WEIGHTS]
    for share in (0.0, 0.2, 0.5, 0.8, 1.0):
        masks = dropped(WEIGHTS, share, scope, seed=3)
        assert all((mask | ~old).all() for mask, old in zip(masks, before, strict=True))
        if scope != "layer":
            assert sum(int(mask.sum()) for mask in masks) == round(7 * share)
        before = masks


def test_random_ones_follow_the_seed_and_know_no_magnitude():
    """Oracle: the mean of a share over many draws, within four binomial errors."""
    weights = [torch.arange(20.0)]
    masks = torch.stack([dropped(weights, 0.25, "random", seed)[0] for seed in range(400)]).double()
    assert ((masks.mean(0) - 0.25).abs() < 4 * (0.25 * 0.75 / 400) ** 0.5).all()
    assert torch.equal(dropped(weights, 0.25, "random", 7)[0], masks[7].bool())


def test_what_cannot_be_dropped_is_refused():
    """Oracle: the sentences."""
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="share lies within 0 and 1"):
            dropped(WEIGHTS, share)
    with pytest.raises(InputError, match="did you mean 'layer'"):
        dropped(WEIGHTS, 0.5, "layers")

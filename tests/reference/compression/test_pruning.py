import math

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from landscape.errors import InputError
from landscape.reference.compression import prune, prune_iteratively
from landscape.reference.models import resnet, vit


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def matrices(model):
    return {n: p for n, p in model.named_parameters() if n.endswith("weight") and p.ndim > 1}


@pytest.mark.parametrize("share", [0.0, 0.1, 1 / 3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_as_many_zeros_as_asked_for_and_the_rest_untouched(share, scope):
    """Oracle: counting; every other number equals that of the model that was given, bit for bit."""
    model = resnet(width=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pruned = prune(model, share=share, scope=scope)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    zeros = {name: int((p == 0).sum()) for name, p in matrices(pruned).items()}
    sizes = {name: p.numel() for name, p in matrices(model).items()}
    if scope == "global":
        assert sum(zeros.values()) == round(share * sum(sizes.values()))
    else:
        assert zeros == {name: round(share * size) for name, size in sizes.items()}
    for name, value in pruned.state_dict().items():
        kept = value != 0 if name in zeros else torch.ones_like(value, dtype=torch.bool)
        assert torch.equal(value[kept], before[name][kept])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.77])
def test_the_weights_are_those_that_torch_prunes(share):
    """Oracle: torch.nn.utils.prune, which ranks by top-k."""
    ours = prune(small_net(), share=share)
    theirs = small_net()
    layers = [(theirs[0], "weight"), (theirs[2], "weight")]
    torch_prune.global_unstructured(layers, torch_prune.L1Unstructured, amount=share)
    assert torch.equal(ours[0].weight, theirs[0].weight)
    assert torch.equal(ours[2].weight, theirs[2].weight)
    ours, theirs = prune(small_net(), share=share, scope="layer"), small_net()
    for place in (0, 2):
        torch_prune.l1_unstructured(theirs[place], "weight", amount=share)
        assert torch.equal(ours[place].weight, theirs[place].weight)


def test_smaller_shares_prune_a_part_of_what_larger_ones_do():
    """Oracle: inclusion of sets of zeros, with ties among the magnitudes."""
    model = nn.Linear(10, 10)
    with torch.no_grad():
        model.weight.copy_(torch.randint(-3, 4, (10, 10), generator=torch.Generator().manual_seed(0)))
    before = torch.zeros(10, 10, dtype=torch.bool)
    for share in (0.1, 0.3, 0.5, 0.8, 1.0):
        zeros = prune(model, share=share).weight == 0
        assert (zeros | ~before).all()
        before = zeros


def test_tokens_positions_norms_and_biases_stay():
    """Oracle: the numbers of a vision transformer before, when all that can be pruned is."""
    torch.manual_seed(0)
    model = vit(dim=8, depth=1, heads=2, patch=7)
    pruned = dict(prune(model, share=1.0).named_parameters())
    for name, value in model.named_parameters():
        if name.endswith("weight") and "norm" not in name:
            assert not pruned[name].any(), name
        else:
            assert torch.equal(pruned[name], value), name


def test_nan_stays_and_the_mode_and_ties_are_kept():
    """Oracle: the weight that is NaN; a weight that two layers share is one weight, counted once."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).eval()
    model[1].weight = model[0].weight
    with torch.no_grad():
        model[0].weight[2, 1] = math.nan
    pruned = prune(model, share=0.75)
    assert pruned[0].weight is pruned[1].weight
    assert pruned[0].weight[2, 1].isnan()
    assert int((pruned[0].weight == 0).sum()) == 12
    assert not pruned.training


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: prune(small_net(), share=1.5), "share lies within 0 and 1, not 1.5"),
        (lambda: prune(small_net(), share=math.nan), "share lies within 0 and 1"),
        (lambda: prune(small_net(), share=0.5, scope="layers"), "did you mean 'layer'"),
        (lambda: prune(nn.BatchNorm1d(3), share=0.5), "no matrix or kernel"),
    ],
)
def test_what_cannot_be_pruned_is_named(make, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        make()


def test_random_pruning_is_the_control():
    """Oracle: counting; another seed prunes others, and magnitude does not decide."""
    model = resnet(width=3)
    one, other = (matrices(prune(model, share=0.5, scope="random", seed=seed)) for seed in (0, 1))
    total = sum(p.numel() for p in matrices(model).values())
    assert sum(int((p == 0).sum()) for p in one.values()) == round(0.5 * total)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def batch():
    draw = torch.Generator().manual_seed(3)
    return torch.randn(24, 6, generator=draw), torch.arange(24) % 3


def test_weights_pruned_in_rounds_stay_zero_and_the_others_learn():
    """Oracle: counting, and the loss of pruning at once without training on."""
    data, model = batch(), small_net()
    rounds = prune_iteratively(model, data, share=0.6, rounds=3, epochs=8, lr=0.02, batch_size=8)
    total = sum(p.numel() for p in matrices(model).values())
    assert sum(int((p == 0).sum()) for p in matrices(rounds).values()) == round(0.6 * total)
    loss = nn.functional.cross_entropy
    assert loss(rounds(data[0]), data[1]) < loss(prune(model, share=0.6).eval()(data[0]), data[1]) - 0.1
    small_net().load_state_dict(rounds.state_dict())


def test_one_round_without_epochs_is_pruning():
    """Oracle: `prune`, bit for bit; the share of several rounds is that at the end."""
    for rounds in (1, 4):
        ours = prune_iteratively(small_net(), batch(), share=0.5, rounds=rounds, epochs=0)
        plain = prune(small_net(), share=0.5)
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))
    with pytest.raises(InputError, match="rounds must be at least 1, not 0"):
        prune_iteratively(small_net(), batch(), share=0.5, rounds=0)

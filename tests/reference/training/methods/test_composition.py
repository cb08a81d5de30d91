"""All training methods together, by + and *: values add up, killed trainings go on with the same bits."""

import pytest
import torch

from landscape.reference.models import resnet
from landscape.reference.training import (
    FGSM,
    PGD,
    Adversarial,
    Batch,
    CrossEntropy,
    NoiseConsistency,
    VirtualAdversarial,
    train,
)

TERMS = {
    "adversarial": Adversarial(PGD(0.1, 2), update_statistics=False),
    "fgsm": Adversarial(FGSM(0.1), update_statistics=False),
    "noise": NoiseConsistency(0.5, samples=2),
    "virtual": VirtualAdversarial(0.5, entropy=0.3),
    "virtual_difference": VirtualAdversarial(0.5, xi=1e-2),
}
ALL = CrossEntropy(0.1) + 0.5 * TERMS["adversarial"] + 0.2 * TERMS["noise"] + 2 * (TERMS["virtual"] * 0.25)
SETTINGS = {"epochs": 2, "batch_size": 10, "augment": "shift", "mixup": 0.4, "unlabelled_batch_size": 7}


class Killed(BaseException):
    """Stands for a process that ends: nothing catches it."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def net():
    torch.manual_seed(3)
    return resnet(width=2, blocks=(1, 1), classes=3, dropout=0.2)


DATA = torch.rand(20, 1, 8, 8, generator=generator()), torch.arange(20) % 3
POOL = torch.rand(17, 1, 8, 8, generator=generator(9))


def training(path, objective, kill_after=None):
    """Train a new network, whose pass of that number (in training mode) kills it."""
    model = net()
    left = None if kill_after is None else iter(range(kill_after))

    def count(module, inputs):
        if left is not None and module.training and next(left, None) is None:
            raise Killed

    handle = model.register_forward_pre_hook(count)
    train(model, DATA, DATA, path=path, objective=objective, unlabelled=POOL, **SETTINGS)
    handle.remove()
    return [value.clone() for value in model.state_dict().values()]


@pytest.mark.parametrize(
    "objective",
    [*(CrossEntropy() + 0.5 * term for term in TERMS.values()), ALL],
    ids=[*TERMS, "all"],
)
def test_killed_inside_a_step_it_goes_on_with_the_same_bits(tmp_path, objective):
    """Oracle: the training that was not killed; its file, identity included, byte for byte.

    The second kill falls between two passes of one step, after random numbers of some terms were drawn.
    """
    whole = training(tmp_path / "whole.safetensors", objective)
    killed = tmp_path / "killed.safetensors"
    for passes in (9, 2):
        with pytest.raises(Killed):
            training(killed, objective, passes)
    got = training(killed, objective)
    assert all(map(torch.equal, whole, got))
    assert killed.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_the_order_of_random_numbers_is_that_of_the_terms():
    """Oracle: each term alone, one after another on one generator; gradients add up as the values do.

    Running statistics move by the one pass that all share.
    """
    batch, own = (
        Batch(DATA[0][:9].double(), DATA[1][:9], torch.arange(9), 0.0, 0.7, POOL[:5].double())
        for _ in range(2)
    )
    together, apart = net().train().double(), net().train().double()
    together.load_state_dict(apart.state_dict())
    torch.manual_seed(0)  # dropout
    loss = ALL(together, batch, generator(5))
    torch.manual_seed(0)
    draws, by_hand = generator(5), []
    weights = (1.0, 0.5, 0.2, 0.5)
    for weight, term in zip(
        weights, (CrossEntropy(0.1), TERMS["adversarial"], TERMS["noise"], TERMS["virtual"]), strict=True
    ):
        by_hand.append(weight * term(apart, own, draws))
    torch.testing.assert_close(loss, sum(by_hand), rtol=1e-12, atol=0)
    for got, want in zip(
        torch.autograd.grad(loss, list(together.parameters())),
        torch.autograd.grad(sum(by_hand), list(apart.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-14)
    for (name, got), want in zip(together.named_buffers(), apart.buffers(), strict=True):
        assert torch.equal(got, want), name
        if name.endswith("num_batches_tracked"):
            assert got == 1


def test_each_setting_of_each_term_is_another_training(tmp_path):
    """Oracle: the weights of the changed training in an empty place differ from those before."""
    path = tmp_path / "a.safetensors"
    base = CrossEntropy() + 0.5 * TERMS["noise"]
    before = training(path, base)
    changed = (
        CrossEntropy() + 0.6 * TERMS["noise"],
        CrossEntropy() + 0.5 * NoiseConsistency(0.6, samples=2),
        0.5 * TERMS["noise"] + CrossEntropy() + TERMS["virtual"],
    )
    for number, objective in enumerate(changed):
        fresh = training(tmp_path / f"{number}.safetensors", objective)
        again = training(path, objective)  # what lies there is of another objective
        assert all(map(torch.equal, fresh, again))
        assert not all(map(torch.equal, before, again))

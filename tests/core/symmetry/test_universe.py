"""Several models in one order: permuted copies come back, and going round a cycle changes nothing."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from landscape.core.symmetry.alignment import align
from landscape.core.symmetry.symmetry import find_symmetry
from landscape.core.symmetry.universe import align_all, inverse
from landscape.core.symmetry.weight_matching import compose
from landscape.errors import InputError
from landscape.reference.models import resnet, vit


def mlp():
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 2))


MODELS = {
    "mlp": (mlp, torch.zeros(2, 3)),
    "resnet": (lambda: resnet(width=4), torch.zeros(2, 1, 28, 28)),
    "vit": (lambda: vit(dim=12, depth=1, heads=3, patch=7), torch.zeros(2, 1, 28, 28)),
}


def trained(make, seed):
    """A model away from its start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", list(MODELS))
def test_permuted_copies_reach_distance_zero(name):
    """Oracle: the original, bit for bit; and the motions, which are those that undo the random ones."""
    make, x = MODELS[name]
    model = trained(make, 0)
    symmetry = find_symmetry(model, x)
    motions = [symmetry.random(torch.Generator().manual_seed(s)) for s in range(3)]
    states = [model.state_dict(), *(symmetry.apply(m, model.state_dict()) for m in motions)]
    found = align_all(model, states, inputs=x)
    assert found.converged
    for state, motion in zip(found.states[1:], motions, strict=True):
        assert all(torch.equal(state[n], t) for n, t in model.state_dict().items())
        back = symmetry.apply(inverse(symmetry, motion), symmetry.apply(motion, model.state_dict()))
        assert all(torch.equal(back[n], t) for n, t in model.state_dict().items())


@pytest.mark.parametrize("name", list(MODELS))
def test_going_round_a_cycle_is_the_identity(name):
    """Oracle: the identity, of whole numbers, on every triangle of four models."""
    make, x = MODELS[name]
    states = [trained(make, s).state_dict() for s in range(4)]
    found = align_all(trained(make, 0), states, inputs=x)
    symmetry, identity = found.symmetry, found.symmetry.identity()
    for p, q, r in itertools.permutations(range(4), 3):
        round_trip = compose(
            symmetry, compose(symmetry, found.between(p, q), found.between(r, p)), found.between(q, r)
        )
        assert all(torch.equal(round_trip[n], identity[n]) for n in identity)
        # and a way through the universe is the direct one
        through = compose(symmetry, found.between(q, r), found.between(p, q))
        assert all(torch.equal(through[n], found.between(p, r)[n]) for n in identity)
    moved = symmetry.apply(found.between(1, 2), states[2])
    put = symmetry.apply(found.motions[1], moved)
    assert all(torch.equal(put[n], t) for n, t in found.states[2].items())
    assert found.objective_after >= found.objective_before
    assert max(found.output_errors) < 1e-4


def test_no_order_of_one_hidden_layer_is_better():
    """Oracle: enumeration of all orders of three units of two models against the first.

    The objective of two linear layers with three units is at its maximum over all 36 orders.
    """

    def make():
        return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))

    best = 0
    for seed in range(6):
        states = [trained(make, 10 * seed + s).state_dict() for s in range(3)]
        symmetry = find_symmetry(make(), torch.zeros(1, 2))
        orders = [{symmetry.free[0]: torch.tensor(o)} for o in itertools.permutations(range(3))]
        names = ["0.weight", "0.bias", "2.weight"]

        def value(parts, names=names):
            flat = [torch.cat([p[n].flatten() for n in names]).double() for p in parts]
            return sum(float(a @ b) for a, b in itertools.combinations(flat, 2))

        every = [
            value([states[0], symmetry.apply(m, states[1]), symmetry.apply(k, states[2])])
            for m in orders
            for k in orders
        ]
        found = align_all(make(), states, inputs=torch.zeros(1, 2))
        assert found.objective_after == pytest.approx(value(found.states))
        best += found.objective_after == pytest.approx(max(every))
    assert best >= 5  # an ascent may end at another maximum


def test_two_models_are_aligned_as_a_pair():
    """Oracle: `align`, whose objective for a pair is the same."""
    states = [trained(mlp, s).state_dict() for s in range(2)]
    found = align_all(mlp(), states, inputs=torch.zeros(2, 3))
    pair = align(mlp(), *states, inputs=torch.zeros(2, 3))
    assert all(torch.equal(found.states[1][n], t) for n, t in pair.state.items())
    assert found.objective_after == pytest.approx(pair.objective_after)


def test_one_model_has_nothing_to_be_aligned_to():
    """Oracle: by hand; the number of a state that does not fit is said."""
    with pytest.raises(InputError, match="two or more"):
        align_all(mlp(), [mlp().state_dict()], inputs=torch.zeros(2, 3))
    states = [mlp().state_dict() for _ in range(3)]
    states[2] = {**states[2], "0.weight": torch.zeros(9, 9)}
    with pytest.raises(InputError, match="state 3"):
        align_all(mlp(), states, inputs=torch.zeros(2, 3))

"""Merging models with their data: permuted copies, BatchNorm's statistics, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import ConvNet, Tied, images, vectors
from torch import nn

from landscape import Problem
from landscape.core.merging.merge import METHODS, MergeOptions, evaluation, in_one_order, merge, merge_states
from landscape.core.symmetry.symmetry import find_symmetry
from landscape.errors import InputError


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().double().eval()


def mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


def problems_of(states, make, data, **options):
    made = []
    for state in states:
        model = make().double()
        model.load_state_dict(state)
        made.append(Problem(model, "cross_entropy", data, **options))
    return made


def permuted_copies(make, data, count=3):
    """A model and copies whose units were put in another order."""
    model = seeded(make)
    symmetry = find_symmetry(model, data[0][:2])
    states = [model.state_dict()]
    for seed in range(1, count):
        motion = symmetry.random(torch.Generator().manual_seed(seed))
        states.append(symmetry.apply(motion, model.state_dict()))
    return model, states


@pytest.mark.parametrize("align", ["weights", "activations", "universe"])
@pytest.mark.parametrize("method", ["mean", "fisher", "regmean", "slerp"])
def test_permuted_copies_merge_to_the_original(method, align):
    """Oracle: the original. Aligned, its copies are itself, and so is whatever is between them."""
    data = vectors(30)
    count = 2 if method == "slerp" else 3
    model, states = permuted_copies(mlp, data, count)
    merged = merge(problems_of(states, mlp, data), method, align=align)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(merged.state[name], tensor, atol=1e-9, rtol=1e-9)
    if method != "slerp":  # unaligned the mean is another model
        apart = merge(problems_of(states, mlp, data), method)
        assert not torch.allclose(apart.state["0.weight"], model.state_dict()["0.weight"], atol=1e-3)


def test_batchnorm_is_recalibrated_or_averaged():
    """Oracle: torch's own running statistics with a cumulative mean over the batches, and numpy's mean."""
    data = images(24)
    states = [seeded(ConvNet, s).state_dict() for s in range(2)]
    problems = problems_of(states, ConvNet, data)
    made = {w: merge(problems, "mean", batchnorm=w) for w in ("recalibrate", "average")}
    name = "body.1.running_mean"
    expected = np.mean([s[name].numpy() for s in states], axis=0)
    np.testing.assert_allclose(made["average"].state[name], expected, rtol=1e-12)
    model = ConvNet().double()
    model.load_state_dict(made["average"].state)
    model.train()
    norm = model.body[1]
    norm.reset_running_stats()
    norm.momentum = None
    with torch.no_grad():
        model(data[0])
    np.testing.assert_allclose(made["recalibrate"].state[name], norm.running_mean, rtol=1e-10)
    assert any("anew" in note for note in made["recalibrate"].notes)
    assert any("mean of the models" in note for note in made["average"].notes)
    # and the problem measures the merged model with these statistics, as torch does
    model.load_state_dict(made["recalibrate"].state)
    model.eval()
    loss = float(nn.functional.cross_entropy(model(data[0]), data[1]).detach())
    assert evaluation(problems[0], made["recalibrate"].state).loss == pytest.approx(loss)
    # recalibrated on the data of both, where they have other data
    others = [problems[0], problems_of(states[1:], ConvNet, (data[0] + 3.0, data[1]))[0]]
    both = merge(others, "mean").state[name]
    np.testing.assert_raises(
        AssertionError, np.testing.assert_allclose, both, made["recalibrate"].state[name]
    )


def test_a_tied_weight_stays_tied():
    """Oracle: the two names of one tensor hold one value."""
    x, _ = vectors(20)
    states = [seeded(Tied, s).state_dict() for s in range(2)]
    problems = []
    for state in states:
        model = Tied().double()
        model.load_state_dict(state)
        problems.append(Problem(model, "mse", (x, x)))
    for method in ("mean", "fisher", "regmean"):
        made = merge(problems, method).state
        assert torch.equal(made["encoder.weight"], made["decoder.weight"])
    made = merge_states(states).state
    assert torch.equal(made["encoder.weight"], made["decoder.weight"])


def test_what_does_not_go_together_is_said():
    """Oracle: by hand."""
    data = vectors(20)
    states = [seeded(mlp, s).state_dict() for s in range(3)]
    problems = problems_of(states, mlp, data)
    for method in ("task_arithmetic", "ties"):
        with pytest.raises(InputError, match="give base"):
            merge(problems, method)
        with pytest.raises(InputError, match="leave out align"):
            merge(problems, method, base=states[0], align="weights")
    with pytest.raises(InputError, match="no use for a base"):
        merge(problems, "fisher", base=states[0])
    with pytest.raises(InputError, match="got 3 models"):
        merge(problems, "slerp")
    with pytest.raises(InputError, match="no way 'fischer'"):
        merge(problems, "fischer")
    with pytest.raises(InputError, match="on data"):
        merge_states(states, "regmean")
    with pytest.raises(InputError, match="no statistics"):
        merge(problems, batchnorm="batch")
    with pytest.raises(InputError, match="cannot be aligned by"):
        in_one_order(problems, "nothing")


def test_base_and_settings_reach_the_methods():
    """Oracle: at the base itself nothing was learnt, so that sums of task vectors are the base."""
    data = vectors(20)
    state = seeded(mlp).state_dict()
    problems = problems_of([state, state], mlp, data)
    for method in ("task_arithmetic", "ties"):
        made = merge(problems, method, base=state, options=MergeOptions(scale=7.0))
        assert all(torch.equal(made.state[n], t) for n, t in state.items())
    assert set(METHODS) == {"mean", "fisher", "regmean", "task_arithmetic", "ties", "slerp"}

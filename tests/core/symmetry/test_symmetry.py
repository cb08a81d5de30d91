"""Symmetries found by tracing: the groups by pencil and paper, and outputs of the plain eager model."""

from __future__ import annotations

import pytest
import torch
from architectures import ARCHITECTURES
from torch import nn

from landscape.core.symmetry.symmetry import find_symmetry
from landscape.errors import InputError
from landscape.reference.models import resnet, vit


def lived_in(model):
    """Float64, evaluation mode, no parameter or statistic at its initial constant."""
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer))
    return model


def build(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return lived_in(make())


def wide(inputs):
    return inputs.double() if inputs.is_floating_point() else inputs


def written(symmetry):
    """The free groups as in ``architectures``: size, then the sizes of the groups it is within."""
    groups = symmetry.groups
    return sorted((groups[n].size, *(groups[w].size for w in groups[n].within)) for n in symmetry.free)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_groups_are_those_found_by_hand_and_leave_the_outputs(name):
    """Oracle: the list of groups by hand, and the eager model with randomly moved weights."""
    case = ARCHITECTURES[name]
    model, inputs = build(case.build), wide(case.inputs())
    symmetry = find_symmetry(model, inputs)
    assert written(symmetry) == sorted(case.groups)
    assert not symmetry.opaque
    before = {key: value.clone() for key, value in model.state_dict().items()}
    moved = symmetry.apply(symmetry.random(torch.Generator().manual_seed(2)), before)
    with torch.no_grad():
        expected = model(inputs)
        model.load_state_dict(moved)
        found = model(inputs)
    for number in symmetry.free:
        places = symmetry.groups[number].places
        assert any(not torch.equal(moved[name], before[name]) for name, _ in places)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_reference_models_have_the_groups_of_the_papers():
    """Oracle: He et al.'s stages share one stream each; Dosovitskiy et al.'s blocks share one in all."""
    x = torch.zeros(1, 1, 28, 28)
    assert written(find_symmetry(resnet(), x)) == [(8,), (8,), (16,), (16,), (32,), (32,)]
    groups = written(find_symmetry(vit(depth=2, dim=12, heads=3), x))
    assert groups == sorted([(12,), *2 * [(3,), (4, 3), (4, 3), (24,)]])


@pytest.mark.parametrize("examples", [1, 2, 70])
def test_groups_do_not_depend_on_the_examples_or_the_order_in_memory(examples):
    """Oracle: the same model with channels first."""
    model = resnet(width=4, blocks=(1, 1)).to(memory_format=torch.channels_last)
    symmetry = find_symmetry(model, torch.zeros(examples, 1, 28, 28))
    assert written(symmetry) == [(4,), (4,), (8,), (8,)]
    assert not symmetry.opaque


def test_the_places_of_a_group_are_listed():
    """Oracle: the parameters of a small net, by eye."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    symmetry = find_symmetry(model, torch.zeros(1, 1, 4, 4))
    assert symmetry.describe() == (
        "0.weight[0]: permutation of 2; on 0.weight[0], 0.bias[0], 1.weight[0], 1.bias[0], 4.weight[1],"
        " 1.running_mean[0], 1.running_var[0]"
    )


def test_only_axes_of_linear_maps_may_be_rotated():
    """Oracle: by hand: queries with keys, values with outputs; not the stream, the heads or the MLP."""
    case = ARCHITECTURES["language"]
    symmetry = find_symmetry(build(case.build), case.inputs())
    linear = [group for group in symmetry.groups if group.linear]
    assert [group.size for group in linear] == [4, 4]
    assert {places for group in linear for places, _ in group.places} == {
        "qkv.weight",
        "qkv.bias",
        "proj.weight",
    }
    rotary = find_symmetry(build(ARCHITECTURES["rotary"].build), case.inputs())
    assert sum(group.linear for group in rotary.groups) == 1


def test_a_rotation_leaves_the_outputs():
    """Oracle: the eager model, its heads turned by random orthogonal matrices."""
    case = ARCHITECTURES["language"]
    model, inputs = build(case.build), case.inputs()
    symmetry = find_symmetry(model, inputs)
    generator = torch.Generator().manual_seed(3)
    motion = symmetry.random(generator)
    for number in symmetry.free:
        if symmetry.groups[number].linear:
            shape = (*symmetry.shape(number), symmetry.groups[number].size)
            motion[number] = torch.linalg.qr(torch.randn(shape, generator=generator, dtype=torch.float64))[0]
    expected = model(inputs)
    model.load_state_dict(symmetry.apply(motion, model.state_dict()))
    torch.testing.assert_close(model(inputs), expected, rtol=1e-9, atol=1e-11)


def test_an_operation_without_a_rule_is_named_and_fixes_what_it_touches():
    """Oracle: distances between the hidden units of tokens do not change, but no rule says so."""

    class Distances(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 6)

        def forward(self, x):
            h = torch.relu(self.second(torch.relu(self.first(x))))
            return torch.cdist(h, h)

    symmetry = find_symmetry(Distances(), torch.zeros(2, 3, 4))
    assert written(symmetry) == [(5,)]
    assert len(symmetry.opaque) == 1
    assert symmetry.opaque[0].endswith("in Distances")
    assert symmetry.describe().endswith("in Distances has no rule: the axes it touches are fixed")


def test_a_model_that_cannot_run_is_refused_by_name():
    """Oracle: the module that raises is the second one."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 2))
    with pytest.raises(InputError, match="Sequential cannot be traced: 1 raised RuntimeError"):
        find_symmetry(model, torch.zeros(1, 4))


def test_a_model_without_hidden_units_is_refused():
    """Oracle: inputs and outputs have their order."""
    with pytest.raises(InputError, match=r"no units of Linear may be permuted; for example, weight\[0\]"):
        find_symmetry(nn.Linear(4, 3), torch.zeros(1, 4))


def test_unused_parameters_stay():
    """Oracle: what takes no part in the pass is not a hidden unit."""

    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.idle, self.last = nn.Linear(4, 3), nn.Linear(5, 5), nn.Linear(3, 2)

        def forward(self, x):
            return self.last(torch.tanh(self.first(x)))

    assert written(find_symmetry(Idle(), torch.zeros(1, 4))) == [(3,)]


def test_nothing_of_the_caller_changes():
    """Oracle: the model's mode, hooks, tensors and torch's switches, before and after."""
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(inplace=True), nn.Linear(3, 2)).train()
    x = torch.randn(2, 4)
    before = [x.clone(), *(t.clone() for t in model.state_dict().values())]
    switches = torch._C._get_mkldnn_enabled(), torch.backends.mha.get_fastpath_enabled()
    find_symmetry(model, x)
    assert all(torch.equal(a, b) for a, b in zip(before, [x, *model.state_dict().values()], strict=True))
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert switches == (torch._C._get_mkldnn_enabled(), torch.backends.mha.get_fastpath_enabled())

"""Heads of networks."""

import pytest
import torch
from posterior_cases import convolution, data, mlp
from torch import nn

from landscape.core.posterior.head import HeadJacobian, find_head, head_entries, read_by
from landscape.core.posterior.jacobians import OutputJacobian
from landscape.core.problem.parameters import ParameterSpace
from landscape.errors import InputError


def space(model):
    return ParameterSpace.of(dict(model.named_parameters()))


def test_the_jacobian_in_the_head_is_that_of_autograd():
    """Oracle: `OutputJacobian` on the head's entries, which differentiates; the closed form does not."""
    for model, shape in ((mlp(), (-1, 5)), (convolution(), (-1, 1, 4, 4))):
        x = data(count=6, inputs=5 if len(shape) == 2 else 16)[0].view(shape)
        name = find_head(model, lambda model=model, x=x: model(x))
        at = head_entries(space(model), name)
        outputs, J = HeadJacobian(model, name, bias=True)(x)
        exact_outputs, exact = OutputJacobian(model, space(model), at)(x)
        torch.testing.assert_close(J.detach(), exact)
        torch.testing.assert_close(outputs.detach(), exact_outputs)


def test_heads_without_a_bias_and_models_that_are_one_layer():
    model = nn.Linear(5, 3, bias=False).double()
    x = data()[0]
    assert find_head(model, lambda: model(x)) == ""
    assert len(head_entries(space(model), "")) == 15
    _, J = HeadJacobian(model, "", bias=False)(x)
    torch.testing.assert_close(J[:, 1, 5:10], x)


def test_a_layer_within_is_no_head():
    model = nn.Sequential(nn.Linear(5, 3), nn.Tanh()).double()
    with pytest.raises(InputError, match="not that of a linear layer"):
        find_head(model, lambda: model(data()[0]))


def test_a_head_that_is_not_among_the_parameters_is_refused():
    model = mlp()
    only = ParameterSpace.of({"0.weight": model[0].weight})
    with pytest.raises(InputError, match=r"lack '2\.weight'"):
        head_entries(only, "2")


def test_what_a_layer_reads():
    """Oracle: the layers before it alone; a layer that writes in place changes nothing; no hook stays."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.ReLU(inplace=True), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    read, output = read_by(model[1], lambda: model(x))
    assert torch.equal(read, model[0](x))
    assert torch.equal(output, model(x))
    assert not model[1]._forward_pre_hooks

"""How a model is run on a batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.core.data.batches import Batch
from landscape.core.problem.forward import Forward
from landscape.errors import InputError
from tests.cases import TwoInputs, pairs


def batch(inputs: object, target: object, size: int) -> Batch:
    return Batch((inputs, target), inputs, target, size)


def test_forms_of_inputs() -> None:
    """Oracle: the model called by hand, with positions and with keywords."""
    model = TwoInputs().double()
    a, b, y = pairs()
    expected = model(a, b)
    for inputs in ((a, b), {"a": a, "b": b}):
        output, target = Forward(None)(model, batch(inputs, y, len(y)))
        assert torch.equal(output, expected)
        assert target is y


def test_a_function_of_the_users() -> None:
    """It is given the batch, or its inputs, and may return a target of its own."""
    x, y = torch.randn(3, 2), torch.zeros(3)
    given = batch(x, y, 3)
    whole = Forward(lambda model, raw: (model(raw[0]), raw[1] + 1))
    assert torch.equal(whole(nn.Identity(), given)[1], y + 1)
    calls, call = whole.calls([given])
    assert call is not None
    assert torch.equal(call(nn.Identity(), calls[0]), x)
    inputs = Forward(lambda model, inputs: model(inputs) * 2)
    inputs.takes_batch = False
    assert torch.equal(inputs(nn.Identity(), given)[0], 2 * x)
    assert inputs.calls([given]) == ([x], inputs.function)


def test_batch_statistics_of_one_example() -> None:
    with pytest.raises(InputError, match="statistics of a batch of 1"):
        Forward(None)(nn.BatchNorm1d(2).train(), batch(torch.randn(1, 2), None, 1))

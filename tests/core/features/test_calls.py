"""A call of a module is made again with everything that it was made with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.core.features.calls import ModuleCall, first_input


class Part(nn.Module):
    """Takes a picture, a factor and a shift."""

    def forward(self, x, factor=1.0, *, shift=None):
        return x * factor + (0.0 if shift is None else shift)


PICTURE, SHIFT = torch.ones(2, 3), torch.tensor([[5.0], [7.0]])


@pytest.mark.parametrize(
    ("args", "keywords", "place"),
    [
        ((PICTURE, 2.0), {"shift": SHIFT}, 0),
        ((), {"shift": SHIFT, "factor": 2.0, "x": PICTURE}, "x"),  # in any order
        ((PICTURE,), {"factor": 2.0, "shift": SHIFT}, 0),
    ],
)
def test_a_call_is_made_again_as_it_was_made(args, keywords, place):
    """Oracle: the call written out by hand."""
    call = ModuleCall.of(Part(), args, keywords)
    assert call.place == place
    assert call.tensor is PICTURE
    assert call.has_more
    again = call.again(torch.zeros(2, 3))
    assert torch.equal(again, Part()(torch.zeros(2, 3), 2.0, shift=SHIFT))


@pytest.mark.parametrize(
    ("args", "keywords"), [((), {}), ((3.0,), {}), ((), {"shift": SHIFT}), (("x",), {"shift": SHIFT})]
)
def test_what_begins_with_no_tensor_has_no_first_input(args, keywords):
    """Oracle: the signature: only ``x`` comes first."""
    assert first_input(Part(), args, keywords) is None
    assert ModuleCall.of(Part(), args, keywords).tensor is None


def test_what_was_written_over_is_known():
    """Oracle: the test itself writes to one of the two tensors."""
    for written, expected in (("first", (True, False)), ("other", (False, True)), ("", (False, False))):
        first, other = torch.ones(2), torch.ones(2)
        call = ModuleCall.of(Part(), (first,), {"shift": other})
        {"first": first, "other": other, "": torch.ones(1)}[written].add_(1.0)
        assert call.overwritten == expected

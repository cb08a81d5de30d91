from __future__ import annotations

import pytest
import torch

from landscape.analyses._shared.given_weights import given_weights
from landscape.base.analysis import Context
from landscape.errors import InputError


def asked(context: Context, reference: str = "", **kwargs: object):
    return given_weights(context, "base", reference, kwargs, "merging", "the base of a merge is")


def test_weights_come_from_the_input_or_from_a_function() -> None:
    """Oracle: a module's own state_dict; nothing where nothing is given."""
    net = torch.nn.Linear(2, 1)
    assert asked(Context()) is None
    found = asked(Context(inputs={"base": net}))
    assert found is not None and torch.equal(found["weight"], net.weight)
    made = asked(Context(), "builtins:dict", w=1)
    assert made == {"w": 1}


def test_two_sources_and_other_things_are_refused() -> None:
    """Oracle: sentences that name the input and the option, and what was given."""
    with pytest.raises(InputError, match="either the input base or the option base_state"):
        asked(Context(inputs={"base": {}}), "builtins:dict")
    with pytest.raises(InputError, match="the base of a merge is a int; give a state_dict"):
        asked(Context(inputs={"base": 3}))

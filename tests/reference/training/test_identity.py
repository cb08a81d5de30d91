"""What tells trainings apart, against hashes and JSON made here."""

from __future__ import annotations

import json

import pytest
import torch

from landscape.errors import InputError
from landscape.reference.training.identity import as_json, belongs, fingerprint


def test_values_types_and_shapes_count():
    """Oracle: by hand: equal tensors have one fingerprint, and a change of any of the three another."""
    x = torch.arange(6.0)
    assert fingerprint(x) == fingerprint(x.clone())
    assert len({fingerprint(t) for t in (x, x.double(), x.reshape(2, 3), x + 1, x[:5])}) == 5
    assert fingerprint(x, x) != fingerprint(torch.cat([x, x]))


def test_facts_are_as_a_file_gives_them():
    """Oracle: json; what it cannot hold is refused."""
    assert as_json({"a": (1, 2)}) == json.loads('{"a": [1, 2]}')
    with pytest.raises(InputError, match="JSON"):
        as_json({"a": torch.zeros(1).requires_grad_})
    assert belongs({"identity": {"a": 1}}, {"a": 1})
    assert not belongs(None, {}) and not belongs({}, {})

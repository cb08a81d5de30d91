"""Content hashes: equal for equal content, different for any other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from landscape.core.problem.fingerprint import describe, fingerprint, library_versions

BASE = torch.arange(6.0).view(2, 3)


def test_layout_and_history_do_not_matter():
    """Oracle: the same values, laid out, produced or tracked otherwise."""
    same = [
        BASE,
        BASE.clone(),
        BASE.T.contiguous().T,
        torch.stack([BASE, -BASE], -1)[..., 0],
        BASE.clone().requires_grad_(),
    ]
    assert len({fingerprint([("w", t)]) for t in same}) == 1


def test_names_values_shapes_and_dtypes_matter():
    """Oracle: each change alone must show, even one bit and the sign of zero."""
    bit = BASE.clone()
    bit[1, 2] = float(np.nextafter(np.float32(5.0), np.float32(6.0)))
    others = [
        [("w", BASE)],
        [("v", BASE)],
        [("w", bit)],
        [("w", -BASE)],
        [("w", BASE.view(3, 2))],
        [("w", BASE.double())],
        [("w", BASE.int())],
        [("w", BASE), ("b", torch.zeros(0))],
        [("b", torch.zeros(0)), ("w", BASE)],
        [],
    ]
    for a, b in itertools.combinations([fingerprint(o) for o in others], 2):
        assert a != b


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(1.5),
        torch.zeros(0, 3),
        torch.tensor([True, False]),
        torch.ones(3, dtype=torch.bfloat16),
        torch.ones(3, dtype=torch.complex64),
        torch.full((2,), torch.nan),
        torch.ones(1, 1).expand(4, 5),
    ],
)
def test_every_kind_of_tensor_has_a_hash(tensor):
    """Oracle: 32 hexadecimal digits, the same for a copy."""
    digest = fingerprint([("t", tensor)])
    assert len(digest) == 32
    assert int(digest, 16) >= 0
    assert fingerprint([("t", tensor.clone())]) == digest


def test_inputs_are_described_by_content_or_by_type():
    """Oracle: equal tensors, arrays and states have one description; other objects their type's name."""
    assert describe(BASE) == describe(BASE.numpy()) != describe(BASE + 1)
    assert describe({"w": BASE}) == describe({"w": BASE.clone()}) != describe({"v": BASE})
    assert describe(3) == "int"
    assert describe({"w": 3}) == "dict"


def test_versions_name_the_libraries_that_shape_the_numbers():
    """Oracle: the modules' own versions."""
    versions = library_versions()
    assert versions["torch"] == torch.__version__
    assert versions["numpy"] == np.__version__
    assert all(isinstance(v, str) for v in versions.values())

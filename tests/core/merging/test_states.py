"""What can be merged entry by entry, and what is refused in words."""

from __future__ import annotations

import pytest
import torch

from landscape.core.merging.states import check_alike, parted
from landscape.errors import InputError


def test_heads_of_other_shape_are_named():
    """Oracle: by hand: 10 and 100 classes, a missing layer, and a single model."""
    one, other = ({"fc.weight": torch.zeros(n, 4)} for n in (10, 100))
    with pytest.raises(
        InputError, match=r"'fc.weight' is \(10, 4\) in model 'a' and \(100, 4\) in 'b'.*heads"
    ):
        check_alike([one, other], ["a", "b"])
    with pytest.raises(InputError, match=r"only 'b' has 'bias'"):
        check_alike([one, {**one, "bias": torch.zeros(3)}], ["a", "b"])
    with pytest.raises(InputError, match="at least two"):
        check_alike([one])
    check_alike([one, one, one])


def test_running_statistics_and_counts_are_no_weights():
    """Oracle: by hand, from torch's names of what BatchNorm keeps."""
    norm = torch.nn.BatchNorm1d(2).state_dict()
    (weights,), (others,) = parted([norm])
    assert list(weights) == ["weight", "bias"]
    assert list(others) == ["running_mean", "running_var", "num_batches_tracked"]

"""The state of a curve in training, kept in a ledger."""

from __future__ import annotations

import torch

from landscape.analyses.connectivity.connect.resume import CurveFile
from landscape.base.ledger import MemoryLedger
from landscape.core.connectivity.curve_training import TrainingState
from landscape.store.ledger import FolderLedger


def test_the_last_epoch_is_read_back_bit_for_bit(tmp_path):
    """Oracle: the state that was written last; none without a file, and none once it was removed."""
    like = torch.zeros(2, dtype=torch.float64)
    file = CurveFile(FolderLedger(tmp_path / "p"), like)
    assert file.read() is None
    for scale in (1.0, 1 / 3):
        points = scale * torch.arange(6, dtype=torch.float64).view(3, 2)
        file.write(TrainingState(points, -points, [scale, 2 * scale]))
    found = CurveFile(FolderLedger(tmp_path / "p"), like).read()
    assert torch.equal(found.points, points) and torch.equal(found.velocity, -points)
    assert found.losses == [1 / 3, 2 / 3]
    file.remove()
    assert file.read() is None


def test_without_a_folder_nothing_is_kept():
    """Oracle: nothing to read."""
    points = torch.zeros(3, 2)
    file = CurveFile(MemoryLedger(), points)
    file.write(TrainingState(points, points, []))
    assert file.read() is None

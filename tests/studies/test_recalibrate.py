from __future__ import annotations

from pathlib import Path

import pytest
import torch
from study_models import RESULT, normalised, trained
from torch import nn

from landscape.reference.training import augment, checkpoints
from landscape.studies.data import Data, load
from landscape.studies.recalibrate import recalibrate_batchnorm


def test_statistics_of_the_network_without_dropout(tmp_path: Path):
    """Oracle: moments of the layer's inputs by hand, and cross-entropy; a second call only reads."""
    data, home = Data.digits(100, 50), tmp_path / "without-dropout"
    model = trained("norm", 0, tmp_path, normalised, augment="shift")
    (settled,) = recalibrate_batchnorm([model], data, home)
    network, old = normalised().eval(), checkpoints.load_file(model.path)
    checkpoints.load_weights(network, settled.path)
    x, y = load(data.train)
    images = augment.augmentation("shift", x)(x, torch.Generator().manual_seed(0)).flatten(1)
    seen = images @ old["1.weight"].T + old["1.bias"]
    torch.testing.assert_close(network[3].running_mean, seen.mean(0))
    torch.testing.assert_close(network[3].running_var, seen.var(0, correction=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(network[4].weight.data, old["4.weight"])
    logits = (x.flatten(1) @ old["1.weight"].T + old["1.bias"] - seen.mean(0)) / (
        seen.var(0, correction=0) + 1e-5
    ).sqrt() @ old["4.weight"].T + old["4.bias"]
    loss = nn.functional.cross_entropy(logits, y).item()
    assert settled.result.train_loss == pytest.approx(loss, rel=1e-4)
    held_out, truth = load(data.test)
    with torch.no_grad():
        logits = network(held_out)
    assert settled.result.test_loss == pytest.approx(nn.functional.cross_entropy(logits, truth).item())
    assert settled.result.test_accuracy == (logits.argmax(1) == truth).double().mean().item()
    assert (settled.result.epochs, settled.name) == (RESULT.epochs, "norm-s0")
    before = settled.path.stat().st_mtime_ns
    assert recalibrate_batchnorm([model], data, home) == [settled]
    assert settled.path.stat().st_mtime_ns == before
    checkpoints.save_weights(normalised(), model.path, {"identity": {"a": 1}})  # trained anew, to other bits
    recalibrate_batchnorm([model], data, home)
    assert settled.path.stat().st_mtime_ns > before

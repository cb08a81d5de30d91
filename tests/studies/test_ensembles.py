from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from study_models import linear, trained
from torch import nn

from landscape.reference.data import digits
from landscape.reference.training import checkpoints
from landscape.studies.data import Data
from landscape.studies.ensembles import Ensemble, figure


def _loaded(path: Path) -> nn.Module:
    model = linear()
    checkpoints.load_weights(model, path)
    return model


def test_ensembles_average_probabilities(tmp_path: Path):
    """Oracle: probabilities averaged by hand from two networks with weights put in by hand."""
    models = [trained("mlp", seed, tmp_path) for seed in (0, 1)]
    x, y = digits("test", 50)
    p = torch.stack([nn.functional.softmax(_loaded(m.path)(x).double(), -1) for m in models])
    rows = torch.arange(len(y))
    both = Ensemble(models, Data.digits(10, 50).test)
    single = [-q[rows, y].log().mean().item() for q in p]
    np.testing.assert_allclose([both.nll([0]), both.nll([1])], single, rtol=1e-6)
    assert both.nll([0, 1]) == pytest.approx(-p.mean(0)[rows, y].log().mean().item(), rel=1e-6)
    right = [(q.argmax(-1) == y).double().mean().item() for q in (*p, p.mean(0))]
    assert both.gain([0, 1]) == pytest.approx(right[2] - (right[0] + right[1]) / 2)
    drawn = figure({"plain": both})
    assert np.asarray(drawn.marks[0].y) == pytest.approx([np.mean(single), both.nll([0, 1])])
    # of a mean over members, the jackknife's numbers are those of the members
    mean_of_logs = both.by_seed(lambda members: float(np.mean([both.nll([m]) for m in members])))
    np.testing.assert_allclose(mean_of_logs, single, rtol=1e-6)

"""What the files of a run hold of its training, as a zoo gives it to an analysis."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.store import read_contents
from landscape.zoo import Zoo

STEPS = (0, 4, 12)


@pytest.fixture
def run(folder):
    """A run of momentum whose files sort otherwise than it was trained, with the states of its optimiser."""
    import sys

    sys.path.insert(0, str(folder.root))
    from toy_data import blobs

    sys.path.remove(str(folder.root))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.5)
    x, y = blobs()
    problems = {}
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            path = folder.add(f"run-step-{step}", 'group = "run"', save=False)
            torch.save({"model": model.state_dict(), "optimizer": optimiser.state_dict()}, path)
            problems[step] = landscape.Problem(model, "cross_entropy", (x, y))
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    folder.entries.sort()
    return folder, problems


def test_a_zoo_gives_stability_the_states_of_the_run(invoke, run):
    """Oracle: the same call as a library, with the learning rate that the test trained with."""
    folder, problems = run
    path = folder.write("[analyses.stability]\nsharpening = false")
    priced = invoke("run", path, "--dry-run")
    assert priced.exit_code == 0, priced.output
    done = invoke("run", path)
    assert done.exit_code == 0, done.output
    (section,) = read_contents(Zoo.from_manifest(path).store).sections
    (ds,) = section.results.values()
    mine = landscape.stability(problems, learning_rate=0.2, momentum=0.5, sharpening=False)
    assert ds["checkpoint"].values.tolist() == [f"run-step-{s}" for s in STEPS]
    assert ds["at"].values.tolist() == list(map(float, STEPS)) and str(ds["progress"].item()) == "step"
    np.testing.assert_allclose(ds["sharpness"], mine["sharpness"], rtol=1e-4)
    np.testing.assert_allclose(ds["limit"], 2 * 1.5 / 0.2)
    assert (ds["optimiser"] == "sgd").all()
    assert "DONE" not in done.output and "given" not in ds.attrs
    again = invoke("run", path)
    assert again.exit_code == 0 and "1" in again.output


def test_old_manifests_of_structure_are_answered(invoke, run):
    """Oracle: the words of the sentence."""
    folder, _ = run
    done = invoke("run", folder.write("[analyses.structure]\nradii = [0.1]"))
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "option 'radii' of 'structure' is one of the analysis 'sharpness' now" in said

"""Subjects: whom a section looks at, and the checkpoints that fill an analysis' inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.errors import InputError
from landscape.store import read_contents
from landscape.zoo import Zoo
from landscape.zoo.spec import Model
from landscape.zoo.subjects import in_order

PLANE = '[analyses.path]\nanalysis = "surface"\ndirections = "trajectory"\nsteps = [3, 3]'
LINE = '[analyses.between]\nanalysis = "line"\ndirection = "models"\nsteps = 3'
THREE = '[analyses.three]\nanalysis = "surface"\ndirections = "models"\nsteps = [3, 3]'


def run_of(folder, count=5):
    """A run whose files sort otherwise than it was trained: epoch-10 comes before epoch-2."""
    for place, epoch in enumerate((1, 2, 10, 11, 12)[:count]):
        folder.add(f"run-epoch-{epoch}", 'group = "run"', seed=place)
    folder.entries.sort()
    return folder


def states(folder, *epochs):
    return [torch.load(folder.root / f"run-epoch-{e}.pt", weights_only=True) for e in epochs]


def problem_of(folder, state):
    import sys

    sys.path.insert(0, str(folder.root))
    try:
        from toy_data import blobs
    finally:
        sys.path.remove(str(folder.root))
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    model.load_state_dict(state)
    return landscape.Problem(model, "cross_entropy", blobs(), batch_size=256)


def results(path):
    return {s.label: s.results for s in read_contents(Zoo.from_manifest(path).store).sections}


@pytest.mark.parametrize("centring", ["mean", "last"])
def test_a_trajectory_is_filled_from_a_group_in_the_order_of_training(invoke, folder, centring):
    """Oracle: the same call as a library, with states that the test reads itself, in the epochs' order."""
    path = run_of(folder).write(f'{PLANE}\ncentring = "{centring}"')
    done = invoke("run", path)
    assert done.exit_code == 0, done.output
    (ds,) = results(path)["path"].values()
    points = states(folder, 1, 2, 10, 11, 12)
    mine = landscape.surface(
        problem_of(folder, points[-1]),
        trajectory=points,
        steps=(3, 3),
        directions="trajectory",
        centring=centring,
    )
    for name in ("loss", "marker_loss", "marker_x", "explained", "marker_distance"):
        np.testing.assert_allclose(ds[name], mine[name], rtol=1e-6, atol=1e-6)
    assert ds.attrs["model"] == "run"
    assert ("last checkpoint" in str(ds["plane"].values)) == (centring == "last")
    label = landscape.surface.figures({"run": ds})[0].x.label
    assert f"{float(ds['explained'][0]):.1%}".replace("%", " %") in label
    assert "run" in (folder.root / "results" / "report.html").read_text("utf-8")


def test_lines_between_models_are_one_for_each_pair(invoke, folder):
    """Oracle: the losses of the two checkpoints themselves, at α = 0 and 1."""
    path = run_of(folder, 3).write(f"{LINE}\nlow = 0.0")
    assert invoke("run", path, "--no-report").exit_code == 0
    found = results(path)["between"]
    assert list(found) == [
        "run-epoch-1 ~ run-epoch-2",
        "run-epoch-1 ~ run-epoch-10",
        "run-epoch-2 ~ run-epoch-10",
    ]
    ends = [problem_of(folder, s).loss() for s in states(folder, 1, 10)]
    np.testing.assert_allclose(found["run-epoch-1 ~ run-epoch-10"]["loss"].values[[0, -1]], ends, rtol=1e-6)


def test_planes_through_three_models(invoke, folder):
    """Oracle: true losses of the three, measured one by one."""
    path = run_of(folder, 3).write(THREE)
    assert invoke("run", path, "--no-report").exit_code == 0
    (ds,) = results(path)["three"].values()
    losses = [problem_of(folder, s).loss() for s in states(folder, 1, 2, 10)]
    np.testing.assert_allclose(ds["marker_loss"], losses, rtol=1e-6)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (PLANE, "takes 3 or more checkpoints of a group, and group 'run' has 2"),
        (THREE, "takes 3 checkpoints of a group, and group 'run' has 2"),
        ('[analyses.surface]\ndirections = "given"', "takes directions as tensors, which no manifest"),
        ("[analyses.spectrum]\nstart = 'previous'", "'start' of 'spectrum' is an input of a call"),
        ("[analyses.surface]\ntrajectory = ['a']", "'trajectory' of 'surface' is an input of a call"),
    ],
)
@pytest.mark.parametrize("flag", ["--dry-run", "--no-report"])
def test_what_cannot_be_filled_is_refused_at_planning(invoke, folder, section, says, flag):
    done = invoke("run", run_of(folder, 2).write(section), flag)
    assert done.exit_code == 2
    assert says in done.output
    assert done.stderr.count("\n") == 1


def test_unlike_builders_are_refused(folder):
    folder.add("a", 'group = "g"')
    folder.add("b", 'group = "g"', "kwargs = { width = 4 }", width=4)
    with pytest.raises(InputError, match="checkpoints of one builder, and those of group 'g' differ"):
        Zoo.from_manifest(folder.write(LINE)).estimate()


def test_a_member_that_cannot_be_read_fails_its_plane_alone(folder):
    path = run_of(folder, 3).write(f"{PLANE}\n{LINE}")
    (folder.root / "run-epoch-2.pt").unlink()
    ended = Zoo.from_manifest(path).run()
    assert (ended.done, len(ended.failed)) == (1, 3)
    assert all("does not exist" in f.error for f in ended.failed)


def test_on_the_command_line(invoke, folder, tmp_path):
    """Oracle: the zoo's own result of the same files."""
    run_of(folder, 3)
    files = [folder.root / f"run-epoch-{e}.pt" for e in (1, 2, 10)]
    common = ("--model", "toy_models:mlp", "--data", "toy_data:blobs", "--steps", "3,3", "-o", "out.h5")
    done = invoke("surface", *files, "--directions", "trajectory", *common)
    assert done.exit_code == 0, done.output
    invoke("run", folder.write(PLANE), "--no-report")
    (ds,) = results(folder.root / "zoo.toml")["path"].values()
    np.testing.assert_array_equal(landscape.open("out.h5")["loss"], ds["loss"])
    done = invoke("surface", *files[:2], "--directions", "trajectory", *common)
    assert "takes 3 or more checkpoints" in done.output


def test_order_of_training():
    """Oracle: by hand."""

    def models(*names, **tags):
        return [Model(n, Path(n), n, tags={k: v[i] for k, v in tags.items()}) for i, n in enumerate(names)]

    names = ("r/epoch-10.pt", "r/epoch-2.pt")
    assert [m.name for m in in_order(models(*names))] == ["r/epoch-2.pt", "r/epoch-10.pt"]
    assert [m.name for m in in_order(models("a", "b", step=[7, 3]))] == ["b", "a"]
    assert [m.name for m in in_order(models("b", "a"))] == ["b", "a"]


def test_trainings_that_tags_tell_apart_are_each_a_trajectory():
    """Oracle: two seeds at two epochs; a group whose checkpoints tell no trainings apart is one."""
    from landscape.zoo.subjects import _trajectories

    def model(name, seed=None, **tags):
        return Model(name, Path(name), group="g", seed=seed, tags=tags)

    seeds = [model(f"{s}-{e}", s, epoch=e) for s in (0, 1) for e in (1, 2)]
    found = _trajectories({"g": seeds})
    assert {n: [m.name for m in ms] for n, ms in found.items()} == {
        "g s0": ["0-1", "0-2"],
        "g s1": ["1-1", "1-2"],
    }
    alike = [model(f"lr{e}", epoch=e, lr=0.1 / e) for e in (1, 2)]
    assert _trajectories({"g": alike}) == {"g": alike}

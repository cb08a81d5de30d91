"""From a directory to a report without a line of Python: pictures in folders, networks of torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import landscape
from landscape.cli.app import app
from landscape.store import read_contents

MODULE = """
from torch import nn

def cnn(width=2):
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(3, width, 3, 2), nn.ReLU(), pool, nn.Flatten(), nn.Linear(width, 2))
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with networks of two widths and two seeds, pictures of two classes, and a module."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets_of_a_directory.py").write_text(MODULE)
    space = {}
    exec(MODULE, space)
    (tmp_path / "runs").mkdir()
    for name, width in (("cnn", 2), ("wide", 3)):
        for seed in (0, 1):
            torch.manual_seed(seed)
            torch.save(space["cnn"](width).state_dict(), tmp_path / "runs" / f"{name}-s{seed}.pt")
    for label, level in (("dark", 20), ("light", 220)):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for i in range(6):
            Image.fromarray(np.full((9, 9, 3), level + i, np.uint8)).save(folder / f"{i}.png")
    return tmp_path


def run(*args):
    result = CliRunner().invoke(app, ["run", *args])
    return result.exit_code, " ".join(result.output.split())


KNOWN = (
    "--model",
    "nets_of_a_directory:cnn",
    "--model",
    "wide-*=nets_of_a_directory:cnn(width=3)",
    "--data",
    "imagefolder:photos",
    "--size",
    "8",
    "--mean",
    "0.5",
    "--std",
    "0.25",
)


def test_from_a_directory_to_a_report(place):
    """Oracle: groups and seeds as the names say; the manifest that was written finds nothing left to do."""
    code, said = run("runs", *KNOWN, "--only", "calibration")
    assert code == 0, said
    contents = read_contents("runs/results")
    assert [(m.group, m.seed) for m in contents.models] == [("cnn", 0), ("cnn", 1), ("wide", 0), ("wide", 1)]
    (section,) = [s for s in contents.sections if s.results]
    ds = section.results["cnn-s0"]
    assert ds.attrs["data_source"] == "imagefolder:photos, all 12 examples"
    assert ds.attrs["preprocessing"] == "8 x 8 pixels (bilinear), mean 0.5, std 0.25"
    assert ds.attrs["classes"] == '["dark", "light"]'
    page = (place / "runs" / "results" / "report.html").read_text()
    assert "8 x 8 pixels (bilinear)" in page
    again = landscape.Zoo.from_manifest("runs/results/zoo.toml").run(["calibration"])
    assert (again.done, again.skipped) == (0, 4)
    assert again.store == place / "runs" / "results"


def test_the_pixel_scale_is_that_of_the_pictures(place):
    """Oracle: what the flags say stands among the options of an analysis that changes pixels."""
    code, said = run("runs", *KNOWN, "--only", "corruptions", "--dry-run")
    assert code == 0, said
    zoo = landscape.Zoo.from_manifest(write_manifest(place))
    plan, _ = zoo._plan(["corruptions"], landscape.zoo.run.Store(zoo.store), False)
    tasks = [t for t in plan.tasks if t.label == "corruptions"]
    assert all('"mean":[0.5],"std":[0.25]' in t.options for t in tasks)


def write_manifest(place):
    assert CliRunner().invoke(app, ["scan", "runs", "--write-manifest", *KNOWN]).exit_code == 0
    return place / "runs" / "zoo.toml"


def test_what_lacks_is_asked_for_and_nothing_is_written(place):
    assert "give --model timm:NAME" in run("runs")[1]
    assert "give --data with one of imagefolder:DIR" in run("runs", *KNOWN[:4])[1]
    assert "give --size, --mean and --std" in run("runs", *KNOWN[:6], "--dry-run")[1]
    assert not (place / "runs" / "results").exists()
    assert run("empty")[0] == 2


def test_flags_of_a_directory_are_refused_for_a_manifest(place):
    manifest = write_manifest(place)
    assert "--data says what a directory does not" in run(str(manifest), "--data", "npz:a.npz")[1]
    assert "--mean takes numbers such as" in run("runs", "--mean", "x")[1]
    assert "--split must be" in run("runs", "--split", "dev")[1]


def test_a_strangers_manifest_and_modules_in_the_directory_are_not_run(place):
    """Oracle: the file that they would write."""
    (place / "runs" / "zoo.toml").write_text('[model]\nbuilder = "evil:net"\n[data]\nbuilder = "evil:data"\n')
    (place / "runs" / "evil.py").write_text("open('mark', 'w')\n")
    (place / "runs" / "timm.py").write_text("open('mark', 'w')\n")
    assert run("runs", *KNOWN, "--dry-run")[0] == 0
    assert not (place / "mark").exists()


def test_models_prepared_in_different_ways_are_not_compared(place):
    """Oracle: each its own size; the comparison is refused in words, the others go on."""
    manifest = write_manifest(place)
    text = manifest.read_text().replace("size = 8\n", "", 1)
    parts = text.split("[[checkpoints]]")
    sized = [
        p.rstrip() + f"\npreprocess = {{ size = {8 - 2 * (i % 2)} }}\n\n" for i, p in enumerate(parts[1:])
    ]
    sized[-1] = (
        sized[-1].replace("# [[predictives]]", "").split("\n# What")[0] + "\npreprocess = { size = 6 }\n"
    )
    manifest.write_text(parts[0] + "".join("[[checkpoints]]" + p for p in sized))
    zoo = landscape.Zoo.from_manifest(manifest)
    result = zoo.run({"calibration": {}, "cka": {}})
    assert result.done == 4
    assert "get their inputs prepared in different ways" in result.failed[0].error
    (section,) = [s for s in read_contents(zoo.store).sections if s.label == "calibration"]
    sizes = [ds.attrs["preprocessing"][:5] for ds in section.results.values()]
    assert sizes == ["8 x 8", "6 x 6", "8 x 8", "6 x 6"]


def test_folders_that_are_a_part_of_the_classes_are_asked_about(place):
    """Oracle: two folders, three outputs; with the classes named, labels are the places of their names."""
    module = place / "nets_of_a_directory.py"
    module.write_text(module.read_text().replace("nn.Linear(width, 2)", "nn.Linear(width, 3)"))
    space = {}
    exec(module.read_text(), space)
    for seed in (0, 1):
        torch.save(space["cnn"]().state_dict(), place / "runs" / f"cnn-s{seed}.pt")
        (place / "runs" / f"wide-s{seed}.pt").unlink()
    given = ["runs", "--model", "nets_of_a_directory:cnn", "--size", "8", "--only", "calibration"]
    given += ["--mean", "0.5", "--std", "0.25"]
    code, said = run(*given, "--data", "imagefolder:photos")
    assert code != 0, said
    assert "has 2 folders and 'cnn-s0' 3 outputs" in said and "classes = [...]" in said
    code, said = run(*given, "--data", "imagefolder:photos(classes=['dark', 'grey', 'light'])")
    assert code == 0, said
    from landscape.zoo.sources.read import named_data

    how = {"size": 8, "mean": [0.5], "std": [0.25]}
    data = named_data("imagefolder:photos", place, preprocess=how, classes=["dark", "grey", "light"]).data
    assert set(np.asarray(data[1]).tolist()) == {0, 2}

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.image import imread
from study_models import trained

import landscape
from landscape.base.figure import Axis, FigureSpec, Line, Series
from landscape.plotting.palette import HUES
from landscape.studies.claims import above
from landscape.studies.data import Data
from landscape.studies.measure import On
from landscape.studies.options import Options, Size
from landscape.studies.run import Run

SIZES = {"default": Size(data=Data.digits(20, 10)), "quick": Size(data=Data.digits(20, 10))}


def _run(folder: Path, size: str = "default") -> Run:
    return Run("r", Options.read("r", SIZES, default_seeds=2, size=size, out=folder / "out", jobs=1), folder)


def test_a_quick_run_decides_nothing(tmp_path: Path):
    """Oracle: a claim that the rule calls reproduced."""
    claim = above("c", "p", [1.0, 1.1, 0.9])
    assert claim.verdict == "reproduced"
    for size, verdict in (("default", "reproduced"), ("quick", "not at this scale")):
        run = _run(tmp_path, size)
        run.judge(claim)
        assert [c.verdict for c in run.claims] == [verdict]


def test_results_of_several_sections_stand_under_one_name(tmp_path: Path):
    """Oracle: the models that each section looks at, and what the analysis gives when called by hand."""
    models = [trained(kind, 0, tmp_path) for kind in ("a", "b")]
    data = Data.digits(20, 10)
    ons = [On("test", "calibration", {"bins": n, "bootstrap": 2}, (k,)) for n, k in ((5, "a"), (7, "b"))]
    run = _run(tmp_path)
    found = run.analyse("label", models, "test", data, ons)
    assert list(found) == ["calibration"]
    assert {name: ds.sizes["bin"] for name, ds in found["calibration"].items()} == {"a-s0": 5, "b-s0": 7}
    assert (tmp_path / "out" / "results" / "label").is_dir()


def test_pictures_and_verdicts_say_that_images_were_jpeg(tmp_path: Path):
    """Oracle: a folder with packed files, one without, and digits, of which nothing is to be told."""
    (tmp_path / "cifar10_train.npz").touch()
    natural = Data.natural(20, 10)
    assert natural.at(tmp_path / "other").about == Data.digits(20, 10).about == ""
    for about in ("", natural.at(tmp_path).about):
        run = _run(tmp_path)
        run.about = about
        run.judge(above("c", "p", [1.0, 2.0]))
        run.finish()
        written = [tmp_path / "out" / "claims.md", run.options.figures / "r_captions.md"]
        assert ["JPEG" in path.read_text("utf-8") for path in written] == [bool(about)] * 2


def test_failures_are_told_and_written_under_the_claims(tmp_path: Path):
    """Oracle: an analysis that cannot be had of these models: no attention in one layer."""
    run = _run(tmp_path)
    found = run.analyse(
        "label",
        [trained("a", 0, tmp_path)],
        "test",
        Data.digits(20, 10),
        [On("test", "attention_response")],
    )
    assert found == {"attention_response": {}}
    assert len(run.failures) == 1
    assert "attention_response of a-s0: " in run.failures[0]
    run.judge(above("c", "p", [1.0, 2.0]))
    run.finish()
    assert run.failures[0] in (tmp_path / "out" / "claims.md").read_text("utf-8")


def test_a_result_of_the_study_as_a_whole_can_be_reported(tmp_path: Path):
    """Oracle: the file, opened again."""
    table = {"width": [1, 1, 2, 2], "batch_size": [8, 16, 8, 16], "test_accuracy": [1.0, 2.0, 3.0, 4.0]}
    table |= {"training_loss": [1.0] * 4, "mode_connectivity": [0.0, -1.0, -3.0, -9.0]}
    table |= {"top_eigenvalue": [1.0, 2.0, 30.0, 40.0], "cka": [0.1, 0.2, 0.8, 0.9]}
    names = {"load": "width", "temperature": "batch_size"}
    ds = landscape.taxonomy(table, columns=names)
    _run(tmp_path).save(ds, "width and batch size")
    (file,) = (tmp_path / "out" / "results" / "r").rglob("*.h5")
    xr.testing.assert_equal(landscape.open(file), ds)


def test_a_kind_has_one_colour_in_all_pictures(tmp_path: Path):
    """Oracle: pixels of the hue; the second picture shows the second kind alone."""
    run = _run(tmp_path)
    for name, kind in (("one", "a"), ("two", "b")):
        line = Line([0, 1], [0, 1], Series(kind))
        run.draw({name: FigureSpec(name, "", Axis("x"), Axis("y"), (line,))})
        picture = imread(next((tmp_path / "out").rglob(f"r_{name}.png")))
        hue = [int(HUES["ab".index(kind)][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (np.abs(picture[..., :3] - hue).max(-1) < 0.01).sum() > 50

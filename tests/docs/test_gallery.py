"""The gallery and the formulas of the documentation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import landscape

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _documentation(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")


def told():
    return tomllib.loads((ROOT / "docs" / "analyses.toml").read_text("utf-8"))


def test_every_picture_has_its_caption_and_the_code_that_draws_it():
    """Oracle: the files of figures/; a section of the demo, and a declaration of a study, by hand."""
    from gallery import pictures_of

    groups = pictures_of(ROOT)
    pictures = {p.path.name: p for held in groups.values() for p in held}
    assert set(pictures) == {p.name for p in (ROOT / "figures").glob("*.png")}
    assert all(p.code and p.title for p in pictures.values())
    line = pictures["line_loss.png"]
    assert line.code == "landscape figure landscape-demo/results -a line -f loss -o line_loss.png"
    noise = pictures["smoothing_natural_noise_accuracy_change.png"]
    assert 'Figure("noise", "accuracy_change", PAIR)' in noise.code and "spatial_smoothing.py" in noise.code
    assert noise.caption and noise.title in noise.caption
    natural = pictures["taxonomy_natural_batch_phases.png"]
    assert natural.code == "landscape study analysis_scripts/taxonomy.py --size natural --data DIR"
    assert "Phases" in natural.title and natural.caption
    assert "Spatial smoothing" in groups and next(iter(groups)) == "The demo"


def test_the_gallery_has_a_thumbnail_of_each_that_leads_to_it(tmp_path):
    """Oracle: the files written, and the anchors that the pages define."""
    from gallery import write_gallery

    small = tmp_path / "root"
    for part in ("figures", "analysis_scripts"):
        (small / part).mkdir(parents=True)
    from PIL import Image

    Image.new("RGB", (900, 600), "white").save(small / "figures" / "line_loss.png")
    write_gallery(small, tmp_path / "gallery")
    index = (tmp_path / "gallery" / "index.md").read_text("utf-8")
    (target,) = re.findall(r":target: (\S+)\.html#(\S+)", index)
    page = (tmp_path / "gallery" / f"{target[0]}.md").read_text("utf-8")
    assert f"({target[1]})=" in page and "landscape figure" in page
    with Image.open(tmp_path / "gallery" / "small-line_loss.png") as image:
        assert max(image.size) == 480
    assert (tmp_path / "gallery" / "line_loss.png").is_file()


def test_every_analysis_has_a_formula_and_its_page_a_picture_and_an_example():
    """Oracle: the registry, and the files of figures/."""
    from derived import analysis_page

    facts = told()
    assert sorted(facts) == sorted(landscape.analyses())
    for name, analysis in landscape.analyses().items():
        page = analysis_page(analysis, facts[name])
        assert facts[name]["formula"] in page and "## Example" in page
        assert f"landscape.{name}(" in page.partition("## Example")[2]
        if "figure" in facts[name]:
            assert (ROOT / "figures" / facts[name]["figure"]).is_file()
            assert f"({facts[name]['figure']})" in page


def test_formulas_need_no_script():
    """Oracle: the MathML of every formula: what LaTeX's commands draw, and none of them as text."""
    pytest.importorskip("latex2mathml", reason="latex2mathml is not installed")
    from offline_math import mathml

    text = (ROOT / "docs" / "definitions.md").read_text("utf-8")
    formulas = [f["formula"] for f in told().values()]
    formulas += re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)
    formulas += re.findall(r"(?<!\$)\$([^$]+)\$(?!\$)", text)
    assert len(formulas) > 100
    for formula in formulas:
        found = mathml(formula)
        assert found.startswith("<math") and "\\" not in re.sub(r"<annotation.*?</annotation>", "", found), (
            formula
        )
    # By hand: what the converter does not know stands for its name; one that begins like it is left alone.
    assert mathml(r"\arg x + \arg_y z").count("<mo>arg</mo>") == 2
    assert "<mo>arg</mo>" not in mathml(r"\argmax x")
    assert "<mfrac>" in mathml(r"\frac1N") and 'display="block"' in mathml("x", block=True)


def test_pictures_are_tiled_without_overlap():
    """Oracle: colours at the middle of each panel, and the size of the whole, by hand."""
    from overview import _GAP, _WIDTH, tiled
    from PIL import Image

    colors = ["red", "lime", "blue"]
    whole = tiled([Image.new("RGB", (2 * _WIDTH, _WIDTH), c) for c in colors], columns=2)
    assert whole.size == (2 * _WIDTH + 3 * _GAP, 2 * (_WIDTH // 2) + 3 * _GAP)
    left, right, row = _GAP + _WIDTH // 2, 2 * _GAP + 3 * _WIDTH // 2, _WIDTH // 2 + _GAP
    middle = _GAP + _WIDTH // 4
    found = [whole.getpixel(place) for place in ((left, middle), (right, middle), (left, middle + row))]
    assert found == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert whole.getpixel((right, middle + row)) == (255, 255, 255)

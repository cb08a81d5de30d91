"""Figures in notebooks."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

import landscape
from landscape.plotting.notebook import bundle_of, picture_of


@pytest.fixture
def figures(make):
    return landscape.plot({m: make["line"](m) for m in ("vit-s0", "resnet-s0")}, figure="loss")


def test_a_picture_stands_beside_the_living_figure(figures):
    """Oracle: the forms that plotly itself gives; the PNG as another library reads it."""
    own = figures[0]._repr_mimebundle_()
    bundle = bundle_of(figures[0], figures.specs[0], figures.palette)
    assert set(own) <= set(bundle)
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.format == "PNG" and min(picture.size) > 300
    assert bundle["text/plain"] and picture_of(figures.specs[0], figures.palette).startswith(b"\x89PNG")


def test_html_without_scripts_shows_the_picture(figures, monkeypatch):
    """Oracle: what is left of the HTML when scripts are cut out, as viewers of notebooks do."""
    monkeypatch.setattr(
        type(figures[0]),
        "_repr_mimebundle_",
        lambda self: {"text/html": "<script>alive()</script><div></div>"},
    )
    html = bundle_of(figures[0], figures.specs[0], figures.palette)["text/html"]
    still = html.replace("<script>alive()</script>", "").split("<script>")[0]
    assert 'class="landscape-still"' in still and "data:image/png;base64," in still
    assert "alive()" in html and html.count("<img") == 1


def test_notebooks_are_given_both(figures, monkeypatch):
    """Oracle: a stand-in for IPython's display."""
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")
    shown = []
    monkeypatch.setattr(display, "display", lambda *a, **k: shown.append((a, k)))
    figures._ipython_display_()
    (((bundle,), options),) = shown
    assert options == {"raw": True} and "image/png" in bundle
    shown.clear()
    landscape.plot(figures.specs, backend="matplotlib")._ipython_display_()
    assert len(shown) == 1 and shown[0][1] == {}

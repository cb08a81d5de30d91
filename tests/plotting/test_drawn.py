"""What `landscape.plot` returns shows and saves itself, whatever the analysis."""

from __future__ import annotations

import webbrowser

import pytest

import landscape
from landscape.errors import InputError


@pytest.mark.parametrize("backend", ["plotly", "matplotlib", "null"])
def test_one_and_many_figures_save_in_every_format(make, tmp_path, backend):
    """Oracle: how files of each format begin; one page holds all figures."""
    results = {m: make["fourier"](m) for m in ("vit-s0", "resnet-s0")}
    drawn = landscape.plot(results, backend=backend)
    assert len(drawn) > 2
    (page,) = drawn.save(tmp_path / "all.html")
    assert page.read_text("utf-8").count('class="plotly-graph-div"') == len(drawn)
    if backend == "plotly":
        (pages,) = drawn.save(tmp_path / "all.pdf")
        assert pages.read_bytes().startswith(b"%PDF")
        (one,) = landscape.plot(results, figure="high_low").save(tmp_path / "one.png")
        assert one.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"must end in one of \.html, \.pdf"):
        drawn.save(tmp_path / "all.docx")


def test_figures_are_shown_in_the_browser(make, monkeypatch):
    """Oracle: a stand-in for the browser, given a page that exists."""
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    landscape.plot(make["line"]("vit-s0")).show()
    assert opened and opened[0].startswith("file://")

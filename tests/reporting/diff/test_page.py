"""The page of a difference."""

from __future__ import annotations

import re
import shutil

import pytest

from landscape.reporting.diff import difference_of
from landscape.reporting.diff.page import change_table, example_table, layer_table, short_html


def test_tables_say_what_the_numbers_are(two_groups):
    """Oracle: lesion and trace of the fixture, the layer that was changed, and the examples that differ."""
    found = difference_of(two_groups, "plain-s0", "smooth-s0")
    first, row = change_table(found).rows[:2]
    assert first.head == "largest Δ loss (loss/example)"
    assert row.head == "tr (SLQ) (nats/example)"
    assert [c.text for c in row.cells[:5]] == ["density", "10", "16", "6", "4.614 … 7.386"]
    layer = layer_table(found)
    assert layer.rows[0].head == "block.0" and layer.columns[-1].label == "CKA"
    assert {r.head for r in example_table(found).rows} == {"2", "5", "7"}


def test_the_page_has_every_part_and_no_id_twice(two_groups, tmp_path):
    """Oracle: anchors of the parts; ids read back from the file; two surfaces beside one another."""
    path = difference_of(two_groups, "plain-s0", "smooth-s0").save(tmp_path / "diff.html")
    html = path.read_text("utf-8")
    assert "<title>plain-s0 against smooth-s0: landscape report</title>" in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert {"differences", "layers", "beside", "examples", "s-density", "d-differences", "d-layers"} <= set(
        ids
    )
    assert len(ids) == len(set(ids))
    assert len(re.findall(r'<figure id="beside-', html)) == 3
    assert "smooth-s1" not in html.split("<script>")[0]


def test_names_are_escaped_in_notebooks(two_groups):
    """Oracle: the text that HTML shows as it is."""
    found = difference_of(two_groups, "plain-s0", "smooth-s0")
    html = short_html(found)
    assert html == found._repr_html_() and "<b>plain-s0</b> against <b>smooth-s0</b>" in html
    evil = type(found.a)("<script>", found.a.models)
    from dataclasses import replace

    assert "<script>" not in short_html(replace(found, a=evil))


CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chrome on the PATH")
def test_a_browser_shows_it_offline_without_a_word(two_groups, tmp_path):
    """Oracle: marks that the browser laid out, its console, the page's width, and axe-core."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    path = difference_of(two_groups, "plain-s0", "smooth-s0").save(tmp_path / "diff.html")
    said = []
    with driver.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 390, "height": 900}, offline=True).new_page()
        page.set_default_timeout(300_000)
        page.on("console", lambda m: said.append(m.text))
        page.on("pageerror", lambda e: said.append(str(e)))
        page.goto(path.as_uri(), wait_until="domcontentloaded")
        for anchor in ("d-differences", "d-layers", "beside-3-0-0", "beside-3-0-1"):
            page.locator(f"#{anchor}").scroll_into_view_if_needed()
            page.wait_for_selector(f"#{anchor} .plot[data-drawn=true]")
            assert page.locator(f"#{anchor} .main-svg path").count() > 3
        assert page.locator("#d-changes tbody th").first.inner_text() == "largest Δ loss (loss/example)"
        assert page.locator("#d-examples tbody tr").count() == 3
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        found = axe.Axe().run(page).response["violations"]
        assert [(v["id"], [n["target"] for n in v["nodes"]][:4]) for v in found] == []
        browser.close()
    assert said == []

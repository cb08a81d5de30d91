"""The widget: its class with the real library, and its script in a browser with a model by hand."""

from __future__ import annotations

import importlib.util
import json
import shutil
from importlib import resources

import numpy as np
import pytest
from stored import build

import landscape
from landscape.errors import InputError
from landscape.reporting import explore as module
from landscape.store import ModelRecord, SectionRecord, Snapshot, Store

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


@pytest.fixture
def store(tmp_path):
    home = Store(tmp_path / "results")
    ds = build("spectrum", {"eigenpair": np.arange(2), "eigenvalues": [3.0, 1.0]}, "resnet-s0", "spectrum")
    home.write(ds, "k")
    record = SectionRecord("spectrum", "spectrum", "spectrum", {}, {"resnet-s0": "k"})
    home.write_snapshot(Snapshot("z", (ModelRecord("resnet-s0", "resnet"),), (record,)))
    return home.directory


@pytest.mark.skipif(importlib.util.find_spec("anywidget") is not None, reason="anywidget is installed")
def test_without_its_library_a_sentence_says_what_to_install(store):
    """Oracle: the extra's name in pyproject.toml."""
    with pytest.raises(InputError, match=r"pip install 'landscape-toolkit\[notebook\]'"):
        landscape.explore(store)


def test_the_widget_holds_the_report_and_tells_its_state(store):
    """Oracle: traitlets' own notices, and the page that `report` writes of the same store."""
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    widget = landscape.explore(store, height=300)
    assert "resnet-s0" in widget.page and widget.height == 300 and widget.state == ""
    told = []
    widget.observe(lambda change: told.append(change["new"]), "state")
    widget.state = "s-spectrum"
    assert told == ["s-spectrum"] and repr(widget) == "Explorer(state='s-spectrum')"
    assert {"page", "height", "state"} <= set(widget.keys)


HARNESS = """<!doctype html><meta charset="utf-8"><div id="el"></div><script type="module">
import widget from "/explore.js";
const held = {page: PAGE, height: 400, state: "two"}, hears = {};
window.saved = [];
window.model = {
  get: (name) => held[name],
  set: (name, value) => { held[name] = value; },
  save_changes: () => window.saved.push(held.state),
  on: (name, f) => { hears[name] = f; },
  off: (name) => { delete hears[name]; },
  change: (name, value) => { held[name] = value; hears[`change:${name}`](); },
};
window.leave = widget.render({model: window.model, el: document.getElementById("el")});
</script>"""

PAGE = "<!doctype html><title>t</title><h1 id='one'>1</h1><h1 id='two'>2</h1><a href='#one'>to one</a>"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chrome on the PATH")
def test_the_frame_and_the_model_follow_one_another():
    """Oracle: the address that the browser itself gives of the frame, and what the model was told."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    script = resources.files("landscape.reporting").joinpath("templates", "explore.js").read_text("utf-8")
    bodies = {
        "/": ("text/html", HARNESS.replace("PAGE", json.dumps(PAGE))),
        "/explore.js": ("text/javascript", script),
    }
    with driver.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)

        def answer(route):
            kind, body = bodies.get(
                route.request.url.removeprefix("http://notebook.test"), ("text/plain", "")
            )
            route.fulfill(content_type=kind, body=body)

        page.route("http://notebook.test/**", answer)
        page.goto("http://notebook.test/")
        frame = page.frame_locator("iframe")
        frame.locator("#two").wait_for()
        inner = "document.querySelector('iframe').contentWindow"
        assert page.evaluate(f"{inner}.location.hash") == "#two" and page.evaluate("window.saved") == []
        frame.locator("a").click()
        page.wait_for_function("window.saved.length === 1")
        assert page.evaluate("window.saved") == ["one"]
        page.evaluate(f"{inner}.history.replaceState(null, '', '#three')")
        assert page.evaluate("window.saved") == ["one", "three"]
        page.evaluate("window.model.change('state', 'two')")
        page.wait_for_function(f"{inner}.location.hash === '#two'")
        assert page.evaluate("window.saved") == ["one", "three"]
        page.evaluate("window.model.change('height', 250)")
        assert page.evaluate("document.querySelector('iframe').style.height") == "250px"
        browser.close()


def test_the_class_is_made_once():
    """Oracle: the cache of the module, where the library is there."""
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    assert module._widget_class() is module._widget_class()

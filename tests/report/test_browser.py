"""The page in a browser: no errors, every figure drawn, with the network off.

Headless chromium is asked for the document after its scripts have run; what it prints to the console is
read from its log.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from landscape.report import page_of, render
from landscape.store.contents import Contents

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chrome on the PATH")
EVIL = "<script>alert(1)</script>"


def visit(page: Path, width: int = 1280, height: int = 14000) -> tuple[str, list[str]]:
    """The document after its scripts have run, and the lines of its console.

    "#all" has the page draw all figures at once: those below the window wait for real frames otherwise,
    which a browser without a screen need not give before it is asked for the document.
    """
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={page.parent / 'profile'}", f"--window-size={width},{height}",
            "--virtual-time-budget=30000", "--enable-logging=stderr", "--dump-dom", page.as_uri() + "#all",
        ],
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    return done.stdout, re.findall(r"CONSOLE[^\n]*", done.stderr)


@pytest.fixture(scope="module")
def html(contents: Contents) -> str:
    return render(page_of(contents))


@pytest.mark.parametrize("width", [1280, 500])
def test_every_figure_is_drawn_without_a_word_on_the_console(html: str, tmp_path: Path, width: int) -> None:
    """Oracle: the browser's own console, which also reports each breach of the page's policy."""
    page = tmp_path / "report.html"
    page.write_text(html, encoding="utf-8")
    document, console = visit(page, width)
    assert console == []
    plots = re.findall(r'<div class="plot[^>]*data-figure[^>]*>', document)
    assert len(plots) == html.count('class="plot"') > 8
    assert all('data-drawn="true"' in plot for plot in plots)
    assert len(re.findall(r'<svg class="main-svg"[^>]*>', document)) >= len(plots)
    assert document.count("js-line") > 20 and document.count("legendtext") > 8


def test_an_evil_name_is_shown_as_text_in_figures(html: str, tmp_path: Path) -> None:
    """Oracle: in the document that the browser built, the name is text in legend and table alike."""
    page = tmp_path / "report.html"
    page.write_text(html, encoding="utf-8")
    document, _ = visit(page)
    legends = re.findall(r'<text class="legendtext"[^>]*>(.*?)</text>', document)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in legends
    assert EVIL not in document.replace(html, "")


ACTIONS = """
const result = {};
const heads = () => [...document.querySelectorAll("#models tbody th")].map((h) => h.textContent);
const button = (text) =>
  [...document.querySelectorAll("#models thead button")].find((b) => b.textContent.startsWith(text));
result.first = heads();
button("λ max").click();
result.up = heads();
button("λ max").click();
result.down = heads();
button("layers").click();
result.missing = heads();
result.sorted = [...document.querySelectorAll("#models [aria-sort]")].map((h) => h.textContent);
const filter = document.getElementById("filter");
filter.value = "RESNET";
filter.dispatchEvent(new Event("input"));
result.left = [...document.querySelectorAll("#models tbody tr")].filter((r) => !r.hidden).length;
result.shown = document.getElementById("shown").textContent;
const ground = () => getComputedStyle(document.body).backgroundColor;
const line = () => document.querySelector(".plot .js-line").style.stroke;
document.getElementById("theme").click();
result.one = [document.documentElement.dataset.theme, ground(), line()];
setTimeout(() => {
  result.drawnOne = line();
  document.getElementById("theme").click();
  setTimeout(() => {
    result.other = [document.documentElement.dataset.theme, ground()];
    result.drawnOther = line();
    const out = document.createElement("pre");
    out.id = "result";
    out.textContent = JSON.stringify(result);
    document.body.append(out);
  }, 3000);
}, 3000);
"""


def test_sorting_filtering_and_themes(html: str, tmp_path: Path) -> None:
    """Oracle: the order of the values in the fixture, and the colours that the browser computed."""
    page = tmp_path / "report.html"
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    script = f"<script>setTimeout(() => {{ {ACTIONS} }}, 5000);</script>"
    page.write_text(open_page.replace("</body>", script + "</body>"), encoding="utf-8")
    document, console = visit(page)
    assert console == []
    (text,) = re.findall(r'<pre id="result">(.*?)</pre>', document)
    result = json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    order = ["resnet-s0", "resnet-s1", "vit-s0", EVIL]
    assert result["first"] == result["up"] == order
    assert result["down"] == order[::-1]
    assert result["missing"][-1] == EVIL  # it has no value there
    assert len(result["sorted"]) == 1
    assert result["left"] == 2 and result["shown"] == "2 of 4 models"
    assert {result["one"][0], result["other"][0]} == {"light", "dark"}
    assert result["one"][1] != result["other"][1]
    assert result["drawnOne"] != result["drawnOther"]

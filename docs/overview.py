"""The pictures of the README, from the demo: `python docs/overview.py landscape-demo`."""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from PIL import Image

from landscape.base.figure import FigureSpec
from landscape.base.registry import find_recorded
from landscape.plotting.backends.matplotlib import draw
from landscape.plotting.palette import Palette
from landscape.reporting.diff import difference_of
from landscape.store.contents import read_contents
from landscape.store.select import results_of

__all__ = ["main", "overview", "shot", "tiled"]

_COLUMNS = 3
_WIDTH = 620  # px of a panel
_GAP = 24
_CHOSEN = (
    ("surface", "resnet-s0", "Loss about a residual network"),
    ("surface", "vit-s0", "Loss about a vision transformer"),
    ("density", "density", "Density of Hessian eigenvalues"),
    ("transfer", "gain_high_low", "Which layers keep high frequencies"),
    ("cka", "layers", "Which layers are alike"),
)
"""Analysis, figure or model, and the title that says what one sees."""


def panels(store: Path) -> list[tuple[FigureSpec, Palette]]:
    """The figures that the picture is made of, those that the store has, and last what differs most."""
    contents = read_contents(store)
    palette = Palette({m.name: m.group for m in contents.models})
    found = []
    for label, name, title in _CHOSEN:
        section, results = results_of(contents, label, ())
        specs = find_recorded(section.analysis).figures(results)
        chosen = [s for s in specs if s.name.startswith(name) or s.title.endswith(f": {name}")]
        found += [(replace(spec, title=title), palette) for spec in chosen[:1]]
    difference = difference_of(contents, "resnet", "vit").figures()
    found += [
        (replace(spec, title="What differs most (right: larger in vit)"), Palette.of([spec]))
        for spec in difference[:1]
    ]
    return found


def tiled(pictures: list[Image.Image], columns: int = _COLUMNS) -> Image.Image:
    """Pictures in rows on white, all of one width, each row as high as its highest."""
    same = [
        p.resize((_WIDTH, round(p.height * _WIDTH / p.width)), Image.Resampling.LANCZOS) for p in pictures
    ]
    rows = [same[i : i + columns] for i in range(0, len(same), columns)]
    heights = [max(p.height for p in row) for row in rows]
    size = (columns * _WIDTH + (columns + 1) * _GAP, sum(heights) + (len(rows) + 1) * _GAP)
    whole = Image.new("RGB", size, "white")
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        for i, picture in enumerate(row):
            whole.paste(picture, (_GAP + i * (_WIDTH + _GAP), top))
        top += height + _GAP
    return whole


def overview(store: Path, path: Path) -> Path:
    """Draw the picture."""
    pictures = []
    for spec, palette in panels(store):
        buffer = io.BytesIO()
        draw(spec, palette).savefig(buffer, format="png", dpi=150)
        pictures.append(Image.open(buffer).convert("RGB"))
    tiled(pictures).save(path, optimize=True)
    return path


def shot(page: Path, path: Path, width: int = 1180, height: int = 1500) -> Path:
    """The first screens of a report as a browser shows them; needs playwright and chromium."""
    from playwright.sync_api import sync_playwright

    found = [p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        tab.set_default_timeout(300_000)  # a busy machine may take long to load some megabytes
        tab.goto(page.resolve().as_uri())
        near = (
            "[...document.querySelectorAll('.plot')].filter(p => p.getBoundingClientRect().top < innerHeight)"
        )
        # Playwright's own way of waiting runs a text as a program, which the page forbids.
        while not tab.evaluate(f"{near}.every(p => p.dataset.drawn || !p.offsetParent)"):
            tab.wait_for_timeout(100)
        tab.screenshot(path=str(path))
        browser.close()
    return path


def main(arguments: list[str]) -> None:
    """Draw figures/overview.png and figures/report.png from the folder of a demo."""
    demo, figures = Path(arguments[0]), Path(__file__).parents[1] / "figures"
    print(overview(demo / "results", figures / "overview.png"))
    print(shot(demo / "report.html", figures / "report.png"))


if __name__ == "__main__":
    main(sys.argv[1:])

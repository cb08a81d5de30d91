"""The bundles of plotly.js: those that the registry publishes, and only what a page needs of them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from importlib import resources

from landscape.reporting import page_of, render
from landscape.reporting.bundles import flat_bundle, solid_bundle, solid_packed
from landscape.store.contents import Contents

FOLDER = resources.files("landscape.reporting").joinpath("plotly_js")


def test_bundles_are_those_of_the_registry() -> None:
    """Oracle: the digests written down when the packages were fetched."""
    readme = FOLDER.joinpath("README.md").read_text("utf-8")
    for name in ("plotly-cartesian.min.js", "plotly-gl3d.min.js"):
        (written,) = re.findall(rf"`{re.escape(name)}` \| `[^`]+` \| `([0-9a-f]{{64}})`", readme)
        assert hashlib.sha256(FOLDER.joinpath(name).read_bytes()).hexdigest() == written


def test_bundles_cannot_end_their_script_and_keep_their_licence() -> None:
    """Oracle: what ends a script element in HTML, and the licence's own demand."""
    for text in (flat_bundle(), solid_bundle()):
        assert "</script" not in text.lower() and "<!--" not in text and "\r" not in text
        assert "Licensed under the MIT license" in text[:400]
    assert json.loads(gzip.decompress(base64.b64decode(solid_packed()))) == solid_bundle()


def test_only_a_page_with_a_relief_carries_the_bundle_for_it(contents: Contents) -> None:
    """Oracle: the fixture has no field over a plane; sizes in bytes as the issue bounds them."""
    html = render(page_of(contents))
    assert 'id="plotly-3d"' not in html
    page = page_of(contents)
    section = page.sections[0]
    with_relief = replace(section, figures=(replace(section.figures[0], relief=True), *section.figures[1:]))
    solid = render(replace(page, sections=(with_relief, *page.sections[1:])))
    assert 'id="plotly-3d"' in solid
    digest = base64.b64encode(hashlib.sha256(solid_bundle().encode()).digest()).decode()
    assert f"sha256-{digest}" in solid and digest not in html
    assert len(solid_packed()) < 0.8e6 and len(flat_bundle().encode()) < 1.6e6

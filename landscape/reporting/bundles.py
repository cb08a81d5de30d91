"""Bundles of plotly.js that a page carries: that for the plane as it is, that for space packed until used."""

from __future__ import annotations

import json
from importlib import resources

from landscape.reporting.encode import packed

__all__ = ["flat_bundle", "solid_bundle", "solid_packed"]


def flat_bundle() -> str:
    """plotly.js with lines, bars, fields and contours."""
    return _bundle("cartesian")


def solid_bundle() -> str:
    """plotly.js with surfaces and lines in three dimensions, as the page runs it once it is unpacked."""
    return _bundle("gl3d")


def solid_packed() -> str:
    """`solid_bundle` as packed JSON, for `solidPlotly` in the page's script."""
    return packed(json.dumps(solid_bundle(), ensure_ascii=False))


def _bundle(name: str) -> str:
    file = resources.files("landscape.reporting").joinpath("plotly_js", f"plotly-{name}.min.js")
    # A parser turns CR LF into LF, and the hash in the policy is that of what it reads.
    return file.read_text(encoding="utf-8").replace("\r\n", "\n").replace("\r", "\n")

"""Page: views become one HTML file that loads nothing and runs nothing but its own scripts.

The page carries a content security policy: only the scripts written here run (by their hashes), and no
request leaves the page, so a name or a text from a store cannot become a program.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from landscape.plotting.backends.plotly import CONFIG
from landscape.reporting.bundles import flat_bundle, solid_bundle, solid_packed
from landscape.reporting.encode import compact, packed
from landscape.reporting.references import references, reproducing
from landscape.reporting.views import Page

__all__ = ["render"]

_SCRIPTS = (
    "dom.js",
    "choice.js",
    "highlight.js",
    "panels.js",
    "drawing.js",
    "redraw.js",
    "solid.js",
    "relief_camera.js",
    "figure_tools.js",
    "figure_data.js",
    "tables.js",
    "single_models.js",
    "choices.js",
    "film.js",
    "layer_map.js",
    "findings.js",
    "page.js",
    "theme.js",
)
"""The page's own program in the order in which its parts run: later parts use the names of earlier ones."""

_STYLES = (
    "style.css",
    "findings.css",
    "sections.css",
    "bar.css",
    "layer_map.css",
)
"""Its style sheets, later ones over earlier ones."""


def render(page: Page, template: str = "page.html", **more: Any) -> str:
    """The HTML of a page.

    Args:
        page: What it shows.
        template: One that extends ``page.html``.
        more: What that one needs beside the page.
    """
    environment = Environment(
        loader=PackageLoader("landscape.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    solid = any(
        any(figure.relief for figure in section.figures) or (section.chooser and section.chooser.reliefs)
        for section in page.sections
    )
    script, plotly = _joined(_SCRIPTS), flat_bundle()
    html = environment.get_template(template).render(
        page=page,
        style=Markup(_joined(_STYLES)),
        script=Markup(script),
        plotly=Markup(plotly),
        solid=solid_packed() if solid else "",
        policy=_policy([script, plotly, *([solid_bundle()] if solid else [])]),
        config=Markup(_inert(json.dumps(CONFIG))),
        papers=compact(references(page)),
        line=reproducing,
        marked=_marked,
        compact=compact,
        packed=packed,
        inert=lambda text: Markup(_inert(text)),
        **more,
    )
    return html.lstrip()


def _joined(names: Iterable[str]) -> str:
    """Several templates as one text: a page has one program and one style, whatever number of files."""
    return "\n".join(_template(name) for name in names)


def _template(name: str) -> str:
    return resources.files("landscape.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for text in scripts
    ]
    # Scripts by their hashes alone: text of a store can never run. Styles in line, since plotly sets its own.
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _marked(text: str) -> Markup:
    """A text with what stands between backticks as code, all of it escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    tagged = (Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))
    return Markup("").join(tagged)


def _inert(text: str) -> str:
    """JSON that no parser of HTML can mistake for the end of its script element."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text

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

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from landscape.plotting.backends.plotly import CONFIG
from landscape.reporting.encode import compact
from landscape.reporting.views import Page

__all__ = ["render"]


def render(page: Page) -> str:
    """The HTML of a page."""
    environment = Environment(
        loader=PackageLoader("landscape.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = {"plotly": _plotly(), "page": _template("findings.js") + "\n" + _template("page.js")}
    html = environment.get_template("page.html").render(
        page=page,
        style=Markup(_template("style.css") + _template("findings.css")),
        scripts={name: Markup(text) for name, text in scripts.items()},
        policy=_policy(scripts.values()),
        config=Markup(_inert(json.dumps(CONFIG))),
        marked=_marked,
        compact=compact,
        inert=lambda text: Markup(_inert(text)),
    )
    return html.lstrip()


def _template(name: str) -> str:
    return resources.files("landscape.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    # A parser turns CR LF into LF, and the hash is that of what it reads.
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")


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

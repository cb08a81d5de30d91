"""Figures in notebooks: alive where scripts run, and a picture where they do not, as in exports."""

from __future__ import annotations

import base64
import uuid
from typing import Any

from landscape.base.figure import FigureSpec
from landscape.plotting.palette import Palette

__all__ = ["bundle_of", "picture_of"]

_WAIT = (
    "(function look(tries){{var box=document.getElementById('{id}');if(!box)return;"
    "var still=box.querySelector('img.landscape-still');"
    "if(box.querySelector('.main-svg,canvas')){{if(still)still.remove();}}"
    "else if(tries>0)setTimeout(function(){{look(tries-1);}},250);}})(80);"
)
"""Takes the picture away once the living figure is drawn, whenever its library has come."""


def picture_of(spec: FigureSpec, palette: Palette) -> bytes:
    """A figure as PNG, drawn by matplotlib: no browser and no kaleido is needed.

    Args:
        spec: The figure.
        palette: The look of each model.
    """
    from landscape.plotting.backends.matplotlib import draw

    return draw(spec, palette)._repr_png_()


def bundle_of(figure: Any, spec: FigureSpec, palette: Palette) -> dict[str, Any]:
    """What a notebook keeps of a plotly figure: plotly's own forms of it, and a picture beside them.

    Args:
        figure: The figure of plotly.
        spec: What it was drawn from.
        palette: The look of each model.

    Returns:
        Texts by MIME type. Viewers that run no scripts show the picture that the HTML holds; exports to PDF
        take ``image/png``.
    """
    bundle: dict[str, Any] = dict(figure._repr_mimebundle_() or {})
    picture = base64.b64encode(picture_of(spec, palette)).decode()
    bundle["image/png"] = picture
    bundle.setdefault("text/plain", spec.title)
    if "text/html" in bundle:
        name = f"landscape-{uuid.uuid4().hex[:12]}"
        title = spec.title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
        bundle["text/html"] = (
            f'<div id="{name}"><img class="landscape-still" alt="{title}" style="max-width:100%"'
            f' src="data:image/png;base64,{picture}">{bundle["text/html"]}</div>'
            f"<script>{_WAIT.format(id=name)}</script>"
        )
    return bundle

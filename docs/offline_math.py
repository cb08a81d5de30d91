"""Formulas without a script: as a page is built LaTeX becomes MathML, which browsers draw themselves."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

__all__ = ["mathml", "setup"]

_NAMES = ("arg",)
"""Commands that the converter does not know, and that stand for their own names."""


def mathml(latex: str, *, block: bool = False) -> str:
    """The MathML of a formula, which carries its LaTeX for those who copy it.

    Args:
        latex: Without dollar signs.
        block: Whether it stands on a line of its own.
    """
    for command in _NAMES:
        latex = re.sub(rf"\\{command}(?![A-Za-z])", rf"\\operatorname{{{command}}}", latex)
    return str(convert(latex.strip(), display="block" if block else "inline"))


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math-block">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer, by the name ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""An analysis in words: its signature, its docstring, a card for notebooks, all read off its declaration."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from landscape.text import facts_html

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis

__all__ = ["card_of", "document_of", "signature_of"]


def signature_of(analysis: Analysis, subject: tuple[str, ...]) -> inspect.Signature:
    """The call of an analysis: its subject, its options, its inputs, and ``progress``."""
    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in subject]
    parameters += [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.annotation)
        for n, f in analysis.params.model_fields.items()
    ]
    parameters += [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None) for n in analysis.inputs
    ]
    if (
        "progress" not in analysis.params.model_fields
    ):  # which an analysis of someone's own may call an option
        parameters.append(inspect.Parameter("progress", inspect.Parameter.KEYWORD_ONLY, default=False))
    return inspect.Signature(parameters)


def document_of(analysis: Analysis) -> str:
    """The docstring: title, call, description, options, variables with units."""
    options = inspect.signature(analysis)  # which `help` does not show of an object
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in options.parameters.values()]
    call = f"{analysis.name}{options.replace(parameters=bare)}"
    lines = [f"{analysis.title}.", "", f"    {call}", "", analysis.description.strip(), "", "Args:"]
    lines += [
        f"    {name}: {info.description} Default: {info.default!r}."
        for name, info in analysis.params.model_fields.items()
    ]
    lines.append(
        "    progress: Whether to show how far it is; or a function of the share done. Default: False."
    )
    lines += ["", "Returns:", "    xarray.Dataset with"]
    lines += [
        f"    {v.name}({', '.join(v.dims)}): {v.meaning}" + (f" [{v.unit}]" if v.unit else "")
        for v in (*analysis.schema.coords, *analysis.schema.variables)
    ]
    return "\n".join(lines)


def card_of(analysis: Analysis) -> str:
    """HTML for notebooks: what is measured, and the options with their defaults."""
    first = analysis.description.strip().split("\n\n")[0]
    facts = {n: f"{f.default!r}: {f.description}" for n, f in analysis.params.model_fields.items()}
    takes = {"checkpoint": "one problem", "pair": "two states of a model", "group": "several problems"}
    subject = takes.get(analysis.scope, "a table")
    return facts_html(
        f"landscape.{analysis.name}: {analysis.title}, of {subject}", facts, " ".join(first.split())
    )

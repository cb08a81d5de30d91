"""Analyses in words."""

from __future__ import annotations

import inspect

import landscape
from landscape.base.description import card_of, document_of, signature_of


def test_signature_docstring_and_card_have_every_option():
    """Oracle: the fields of the options, one by one."""
    line = landscape.line
    parameters = signature_of(line, ("problem",)).parameters
    assert next(iter(parameters)) == "problem" and list(parameters)[-1] == "progress"
    card, text = card_of(line), document_of(line)
    for name in line.params.model_fields:
        assert f"<th>{name}</th>" in card and name in parameters and f"    {name}: " in text
    assert card == line._repr_html_() and "<b>landscape.line: " in card
    assert inspect.signature(line) == signature_of(line, ("problem",))

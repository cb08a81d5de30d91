"""First sentences of commands. Oracle: the sentences written out by hand."""

from __future__ import annotations

from landscape.base.registry import listed
from landscape.cli.common import OF_SCOPE, headline


def test_headlines_name_what_a_command_looks_at():
    assert headline("Hessian spectrum", "checkpoint") == "Hessian spectrum of a checkpoint."
    assert headline("Curve", "pair") == "Curve of two checkpoints."
    assert headline("Similarity", "group") == "Similarity of some checkpoints."


def test_every_scope_but_the_table_has_a_headline():
    assert {entry.scope for entry in listed().values()} - set(OF_SCOPE) == {"table"}

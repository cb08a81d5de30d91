"""Context: what a caller lends to a computation."""

from __future__ import annotations

from landscape import Context


def test_a_ledger_is_opened_once_and_only_when_it_is_used():
    """Oracle: the calls of the function that opens it, counted."""
    opened = []
    context = Context(open_ledger=lambda: opened.append(1) or "ledger")
    assert opened == []
    assert (context.ledger, context.ledger, len(opened)) == ("ledger", "ledger", 1)

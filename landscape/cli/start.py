"""The start of the command line."""

from __future__ import annotations

from landscape.cli.interrupt import starting

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    starting()
    from landscape.cli.app import app  # late: an import takes time enough to press Ctrl-C

    app()

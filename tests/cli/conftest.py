"""The command line, run in this process."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import landscape.cli.app as cli


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LANDSCAPE_DEBUG", raising=False)

    def invoke(*arguments):
        return CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "200"})

    return invoke

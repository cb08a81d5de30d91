"""The group of commands: what it lists, and what it takes to list it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import landscape
from landscape.base import registry
from landscape.cli.app import app
from landscape.cli.common import headline


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def listing():
    """Commands with their short helps, in the order of the page."""
    lines = invoke("--help").output.partition("Commands:\n")[2].splitlines()
    return {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in lines if line.strip()}


def test_every_analysis_of_checkpoints_is_listed_with_its_headline():
    """Oracle: the registry, which imports the analyses; tables are no checkpoints."""
    listed = listing()
    analyses = {n: a for n, a in landscape.analyses().items() if a.scope != "table"}
    own = ["run", "scan", "show", "report", "figure", "demo", "study", "verify"]
    assert list(listed) == [*own, *analyses]
    for name, analysis in analyses.items():  # long ones are cut at a word
        assert headline(analysis.title, analysis.scope).startswith(listed[name].removesuffix("..."))


def test_a_plugin_is_listed_and_has_its_flags(monkeypatch):
    """Oracle: the plug-in's own title and option."""

    class Point:
        value = "pack:plug"

        @staticmethod
        def load():
            from dataclasses import replace

            return replace(landscape.trace, name="plug", title="A plug-in")

    def forget():
        registry.discover.cache_clear()
        registry.listed.cache_clear()

    monkeypatch.setattr(registry, "entry_points", lambda group: [Point])
    forget()
    try:
        assert listing()["plug"] == "A plug-in of a checkpoint."
        assert "--seed" in invoke("plug", "--help").output
    finally:
        monkeypatch.undo()
        forget()


@pytest.mark.parametrize("name", ["taxonomy", "spectrm"])
def test_what_is_no_command_is_refused(name):
    """Oracle: exit status 2, as for any unusable input."""
    result = invoke(name, "--help")
    assert result.exit_code == 2
    assert f"No such command '{name}'" in result.output


def seconds(*arguments):
    """Processor time of a Python process; the clock on the wall would measure the neighbours too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_listing_takes_little_more_than_its_libraries():
    """Oracle: the time that the libraries alone take, in the same run; least of several of each in turn.

    A busy machine can only make a run longer, so that the least is nearest to the work that is done.
    """
    help_s, libraries_s = [], []
    for _ in range(12):
        libraries_s.append(seconds("-c", "import typer, rich, pydantic"))
        help_s.append(seconds("-m", "landscape", "--help"))
        if len(help_s) >= 4 and min(help_s) <= 1.8 * min(libraries_s):
            break
    assert min(help_s) <= 1.8 * min(libraries_s), (help_s, libraries_s)


def test_listing_imports_no_analysis_and_no_numerics():
    """Oracle: ``sys.modules`` of a fresh interpreter."""
    code = (
        "import sys\nfrom landscape.cli import main\nsys.argv = ['landscape', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'xarray', 'landscape.zoo'} & set(sys.modules)\n"
        "heavy |= {m for m in sys.modules if m.startswith('landscape.analyses.')}\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, stdout=subprocess.DEVNULL)

"""The group of commands: what it lists, and what it takes to list it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from statistics import median

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
    return {name: text for held in sections().values() for name, text in held.items()}


def sections():
    """The sections of commands by their titles, each with its commands and their short helps."""
    found = {}
    for line in invoke("--help").output.partition("Options:")[2].partition("\n\n")[2].splitlines():
        if line and not line.startswith(" "):
            found[line.rstrip(":")] = {}
        elif line.strip():
            name, text = line.split(maxsplit=1)
            found[list(found)[-1]][name] = text.strip()
    return found


def test_every_analysis_of_checkpoints_is_listed_with_its_headline():
    """Oracle: the registry, which imports the analyses; tables are no checkpoints."""
    listed = listing()
    analyses = {n: a for n, a in landscape.analyses().items() if a.scope != "table"}
    own = ["run", "scan", "show", "findings", "generalisation"]
    own += ["report", "figure", "export", "diff", "merge", "verify", "demo", "study"]
    assert list(listed)[: len(own)] == own and sorted(listed) == sorted([*own, *analyses])
    for name, analysis in analyses.items():  # long ones are cut at a word
        assert headline(analysis.title, analysis.scope).startswith(listed[name].removesuffix("..."))


def test_analyses_are_listed_by_family():
    """Oracle: the folders that analyses are declared in, and the order of the README."""
    titles = [t.removeprefix("Analyses of checkpoints: ") for t in sections() if t.startswith("Analyses")]
    assert titles[:3] == ["curvature", "surfaces", "connectivity"]
    held = sections()["Analyses of checkpoints: curvature"]
    assert {"spectrum", "density", "trace"} <= set(held) and "line" not in held


def test_shells_complete_commands_options_and_names(tmp_path, monkeypatch):
    """Oracle: the names of commands, of a flag, and of the models of a store, as bash asks for them."""
    from landscape.store import ModelRecord, SectionRecord, Snapshot, Store

    store = Store(tmp_path / "results")
    record = SectionRecord("my label", "line", "line", {}, {})
    store.write_snapshot(Snapshot("z", (ModelRecord("vit-s0", "vit"),), (record,)))

    def completed(words, number):
        env = {"_LANDSCAPE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return CliRunner().invoke(app, [], env=env, prog_name="landscape").output.split("\n")

    assert "spectrum" in completed("landscape spec", 1)
    assert "--output" in completed("landscape report x --out", 3)
    assert {"vit", "vit-s0"} <= set(completed(f"landscape diff {store.directory} v", 3))
    assert "my label" in completed(f"landscape figure {store.directory} -a my", 4)
    assert not any(completed(f"landscape diff {tmp_path / 'gone'} v", 3))


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
    """Oracle: the time that the libraries alone take just before, in the same run; median of such ratios.

    A machine changes its speed by half from one second to the next, so that only neighbours are compared.
    """
    ratios = []
    for _ in range(12):
        libraries_s = seconds("-c", "import typer, rich, pydantic")
        ratios.append(seconds("-m", "landscape", "--help") / libraries_s)
        if len(ratios) >= 4 and median(ratios) <= 1.8:
            break
    assert median(ratios) <= 1.8, ratios


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

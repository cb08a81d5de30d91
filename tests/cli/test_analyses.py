"""Commands of analyses: flags from options, and what `landscape show` says."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import pytest
from rich.console import Console
from typer.testing import CliRunner

import landscape
from landscape.cli.analyses import command_of, describe
from landscape.cli.app import app

CHECKPOINTS = {n: a for n, a in landscape.analyses().items() if a.scope != "table"}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_option_has_a_flag_with_its_description(name):
    """Oracle: the options as the analysis declares them; and the flags that all commands share."""
    analysis = CHECKPOINTS[name]
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "1000"})
    assert result.exit_code == 0, result.output
    text = "".join(result.output.split())  # lines are also broken at hyphens
    shared = {"--model", "--data", "--loss", "--weight-decay", "--output"}
    assert all(flag in text for flag in shared)
    for option, field in analysis.params.model_fields.items():
        dashed = option.replace("_", "-")
        assert f"--{dashed}" in text or f"--option-{dashed}" in text
        assert "".join(str(field.description).split()) in text


def test_a_command_is_made_from_any_analysis():
    """Oracle: the names of the parameters."""
    command = command_of(landscape.spectrum, nullcontext)
    names = [p.name for p in command.params]
    assert command.name == "spectrum"
    assert {"checkpoints", "model", "data", "k", "which", "seed"} <= set(names)


def shown(ds):
    console = Console(width=200, record=True, quiet=True)
    with console.capture() as capture:
        for part in describe(ds):
            console.quiet = False
            console.print(part, highlight=False)
    return capture.get()


def test_a_table_is_shown_with_its_summary():
    """Oracle: the metrics of the analysis."""
    grid = {
        "load": [1, 2, 4, 8],
        "temperature": [1, 1, 2, 2],
        "test_accuracy": [10, 20, 30, 40],
        "log_top_eigenvalue": [5, 4, 1, 0],
        "mode_connectivity": [-20, -10, 0, 0],
        "cka": [0.1, 0.2, 0.8, 0.9],
    }
    ds = landscape.taxonomy(grid, resamples=100)
    text = shown(ds)
    assert all(m.name in text for m in landscape.taxonomy.summary(ds))


def test_a_file_cannot_have_a_module_imported(tmp_path, monkeypatch):
    """Oracle: the module leaves a trace when it is imported; the file is shown all the same."""
    (tmp_path / "trap_of_file.py").write_text("import sys\nsys.trapped = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    schema = landscape.Schema(1, variables=(landscape.Variable("v", (), "value", "J"),))
    ds = schema.dataset({"v": 3.5}, {"analysis": "trap_of_file:analysis"})
    landscape.save(ds, tmp_path / "r.h5")
    result = CliRunner().invoke(app, ["show", str(tmp_path / "r.h5")], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "trap_of_file:analysis" in result.output and "3.5" in result.output
    assert not hasattr(sys, "trapped")
    with pytest.raises(landscape.LandscapeError, match="not installed here"):
        landscape.plot(landscape.open(tmp_path / "r.h5"))
    assert not hasattr(sys, "trapped")

"""Commands for single analyses: flags derived from declarations, and what they do."""

from __future__ import annotations

import json
import os
import pickle
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

import landscape
from landscape.cli.analyses import command_of, describe, parse_option
from landscape.cli.app import app
from landscape.zoo.problem_options import ProblemOptions

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


class TestAnalysisCommands:
    def test_switches_that_may_be_none_are_switches(self, invoke):
        """Oracle: the words of the help."""
        assert "--shuffle / --no-shuffle" in " ".join(invoke("batch_spectra", "--help").output.split())

    def test_help_lists_the_choices_of_options_that_may_be_none(self, invoke):
        """Oracle: the declaration of ``align``."""
        assert "--align weights|activations" in " ".join(invoke("connect", "--help").output.split())

    def test_spectrum_of_a_checkpoint(self, invoke, folder):
        """Oracle: the library call."""
        folder.add("m0")
        arguments = ("--model", "toy_models:mlp", "--data", "toy_data:blobs")
        more = ("--model-kwargs", '{"width": 3}', "--weight-decay", 0.1, "--k", 2, "--which", "LA")
        result = invoke("spectrum", folder.root / "m0.pt", *arguments, *more)
        assert result.exit_code == 0, result.output
        assert "saved to spectrum-m0.h5" in result.output
        ds = landscape.open("spectrum-m0.h5")
        model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        model.load_state_dict(torch.load(folder.root / "m0.pt"))
        x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
        problem = landscape.Problem(model, "cross_entropy", (x, (x.sum(1) > 0).long()), weight_decay=0.1)
        direct = landscape.spectrum(problem, k=2, which="LA")
        np.testing.assert_array_equal(ds["eigenvalues"], direct["eigenvalues"])
        assert json.loads(ds.attrs["parameters"])["k"] == 2

    def test_a_switch_turned_off_is_off(self, invoke, folder):
        """Oracle: the options that the result records, and the library call."""
        folder.add("m0")
        arguments = (
            "--model",
            "toy_models:mlp",
            "--data",
            "toy_data:blobs",
            "--model-kwargs",
            '{"width": 3}',
        )
        result = invoke(
            "spectrum", folder.root / "m0.pt", *arguments, "--k", 2, "--no-search", "--no-channels-last"
        )
        assert result.exit_code == 0, result.output
        ds = landscape.open("spectrum-m0.h5")
        assert json.loads(ds.attrs["parameters"])["search"] is False
        assert not bool(ds["complete"])

    def test_every_option_of_a_problem_is_a_flag(self, invoke, folder):
        """Oracle: the library call, with the same function and the keys renamed by hand.

        The checkpoint's keys begin with ``net.`` beside others; the function halves the inputs.
        """
        path = folder.add("m0")
        state = torch.load(path)
        torch.save({f"net.{k}": v for k, v in state.items()} | {"other.x": torch.zeros(1)}, path)
        (folder.root / "halves.py").write_text("def forward(model, batch):\n    return model(batch[0] / 2)\n")
        arguments = ("--model", "toy_models:mlp", "--data", "toy_data:blobs", "--k", 2)
        flags = ("--forward", "halves:forward", "--prefix", "net.", "--batch-size", 5)
        chosen = ("--parameters", "0.*", "--parameters", "2.bias", "--batchnorm", "train", "--device", "cpu")
        result = invoke("spectrum", path, *arguments, *flags, *chosen)
        assert result.exit_code == 0, result.output
        ds = landscape.open("spectrum-m0.h5")
        model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
        model.load_state_dict(state)
        x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
        problem = landscape.Problem(
            model, "cross_entropy", (x / 2, (x.sum(1) > 0).long()), parameters=["0.*", "2.bias"], batch_size=5
        )
        np.testing.assert_array_equal(ds["eigenvalues"], landscape.spectrum(problem, k=2)["eigenvalues"])
        shown = invoke("spectrum", "--help").output
        assert all(f"--{name.replace('_', '-')}" in shown for name in ProblemOptions.model_fields)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("none.pt",), "checkpoint '"),
            (("m0.pt", "--k", "many"), "option 'k' of analysis 'spectrum' cannot be 'many'"),
            (("m0.pt", "--which", "XX"), "option 'which' of analysis 'spectrum' cannot be 'XX'"),
            (("m0.pt", "m0.pt"), "takes 1 checkpoint(s); got 2"),
            (("m0.pt", "--model-kwargs", "{"), "--model-kwargs is not JSON"),
            (("m0.pt", "--data-kwargs", "[]"), "--data-kwargs must be a JSON object"),
            (
                ("m0.pt", "--batchnorm", "x"),
                "option 'batchnorm' of the problem cannot be 'x': give 'checkpoint' or 'batch'",
            ),
            (
                ("m0.pt", "--loss", "mes"),
                "option 'loss' of the problem cannot be 'mes': give causal_lm, cross_entropy, gaussian_nll",
            ),
        ],
    )
    def test_mistakes(self, arguments, message, invoke, folder):
        folder.add("m0")
        result = invoke("spectrum", *arguments, "--model", "toy_models:mlp", "--data", "toy_data:blobs")
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_a_malicious_pickle_is_refused(self, invoke, folder, tmp_path):
        """Oracle: the folder that its code would make."""

        class Malicious:
            def __reduce__(self):
                return (os.mkdir, (str(tmp_path / "mark"),))

        (folder.root / "evil.pt").write_bytes(pickle.dumps({"x": Malicious()}, protocol=2))
        result = invoke("spectrum", "evil.pt", "--model", "toy_models:mlp", "--data", "toy_data:blobs")
        assert result.exit_code == 2
        assert "mkdir" in result.stderr
        assert not (tmp_path / "mark").exists()

    def test_trusting_pickles_is_explicit_and_loud(self, invoke, folder):
        """Oracle: weights that a program makes load only when trusted, and then with a warning."""

        class Program:
            def __reduce__(self):
                return eval, ("__import__('torch').nn.Linear(2, 2).state_dict()",)

        torch.save({"state_dict": Program()}, "whole.pt")
        arguments = ("whole.pt", "--model", "torch.nn:Linear", "--data", "toy_data:blobs", "--k", 1)
        arguments += ("--model-kwargs", '{"in_features": 2, "out_features": 2}')
        result = invoke("spectrum", *arguments)
        assert (result.exit_code, "builtins.eval" in result.stderr) == (2, True)
        result = invoke("spectrum", *arguments, "--trust-pickle")
        assert result.exit_code == 0
        assert result.stderr.startswith("WARNING: pickles are trusted")

    @pytest.mark.parametrize(
        ("kind", "text", "value"),
        [
            (int, "5", "5"),
            (int | None, "none", None),
            (bool | None, False, False),
            (bool, True, True),
            (str, "5", "5"),
            (tuple[int, int], "51,51", ["51", "51"]),
            (tuple[int, int], "[51, 51]", [51, 51]),
            (tuple[str, ...], "bias, norm", ["bias", "norm"]),
            (tuple[str, ...], "none", ()),
            (dict[str, int], '{"a": 1}', {"a": 1}),
            (int, "many", "many"),
        ],
    )
    def test_options_are_read_from_text(self, kind, text, value):
        from pydantic.fields import FieldInfo

        assert parse_option(FieldInfo(annotation=kind), text) == value


def test_a_result_of_another_version_is_told_with_both(tmp_path):
    """Oracle: the version in the attributes, and that of the analysis."""
    grid = {
        "load": [1, 2, 4, 8],
        "temperature": [1, 1, 2, 2],
        "test_accuracy": [10, 20, 30, 40],
        "log_top_eigenvalue": [5, 4, 1, 0],
        "mode_connectivity": [-20, -10, 0, 0],
        "cka": [0.1, 0.2, 0.8, 0.9],
    }
    ds = landscape.taxonomy(grid, resamples=100).assign_attrs(schema_version=99)
    text = " ".join(shown(ds).split())
    written = landscape.taxonomy.schema.version
    assert (
        f"of schema version 99 of 'taxonomy', and this version of landscape writes version {written}" in text
    )

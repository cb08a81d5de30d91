"""The command line: what it does, what it says, and its exit status."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr
from rich.console import Console
from typer.testing import CliRunner

import landscape
from landscape.base.registry import discover
from landscape.cli import app as cli
from landscape.cli.analyses import parse_option
from landscape.cli.display import ProgressBar, RunDisplay, failure_lines
from landscape.store import Failure, read_contents, save

TOTAL = '[analyses.total]\nanalysis = "toys:total"'


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LANDSCAPE_DEBUG", raising=False)

    def invoke(*arguments):
        return CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "200"})

    return invoke


def shell(*arguments, cwd=None, **environment):
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "landscape", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=250,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


class TestRun:
    def test_all_done(self, invoke, folder):
        folder.add("m0")
        folder.add("m1", seed=1)
        result = invoke("run", folder.write(), "--no-report")
        assert result.exit_code == 0, result.output
        assert "2 tasks to do, 0 done before" in result.output
        assert "[2/2] total of m1" in result.output
        assert "2 done, 0 done before, 0 failed; results in" in result.output
        again = invoke("run", folder.root / "zoo.toml", "--no-report")
        assert "0 done, 2 done before, 0 failed" in again.output

    def test_shards(self, invoke, folder):
        """Oracle: two models, one in each half; the page comes when asked for."""
        folder.add("m0")
        folder.add("m1", seed=1)
        path = folder.write()
        for shard in ("1/2", "2/2"):
            result = invoke("run", path, "--shard", shard)
            assert "1 done, 0 done before, 0 failed" in result.output
            assert "report" not in result.output
        assert invoke("report", folder.root / "results").exit_code == 0
        result = invoke("run", path, "--shard", "3/2")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)

    def test_failures_are_listed_once_for_each_model(self, invoke, folder):
        folder.add("good")
        folder.add("gone", save=False)
        path = folder.write(f"{TOTAL}\n[analyses.twice]\nanalysis = 'toys:total'\nscale = 2.0")
        result = invoke("run", path, "--no-report")
        assert result.exit_code == 1
        assert "2 done, 0 done before, 2 failed" in result.output
        (line,) = [x for x in result.output.splitlines() if x.startswith("  gone")]
        assert line.startswith("  gone (total, twice): checkpoint '")
        assert line.endswith("gone.pt' does not exist.")

    def test_choices(self, invoke, folder):
        folder.add("m0")
        path = folder.write(f"{TOTAL}\n[analyses.twice]\nanalysis = 'toys:total'\nscale = 2.0")
        store = folder.root / "elsewhere"
        result = invoke("run", path, "--only", "twice", "--store", store, "--no-report")
        assert "1 done, 0 done before" in result.output
        contents = read_contents(store)
        assert [(s.label, len(s.results)) for s in contents.sections] == [("total", 0), ("twice", 1)]
        result = invoke("run", path, "--store", store, "--overwrite", "--no-report", "--jobs", "1")
        assert "2 done, 0 done before" in result.output

    def test_dry_run(self, invoke, folder):
        folder.add("m0")
        result = invoke("run", folder.write(), "--dry-run")
        assert result.exit_code == 0
        rows = {line.split()[0]: line.split()[1:3] for line in result.output.splitlines()}
        assert rows["total"] == rows["all"] == ["1", "0"]
        assert not (folder.root / "results").exists()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda path: path.unlink(), "there is no manifest"),
            (lambda path: path.write_text("name ="), "is not valid TOML"),
            (lambda path: path.write_text("nam = 3"), "no entry 'nam'; did you mean 'name'?"),
        ],
    )
    def test_unusable_input(self, change, message, invoke, folder):
        folder.add("m0")
        path = folder.write()
        change(path)
        result = invoke("run", path)
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert result.stdout == ""

    def test_unknown_analysis(self, invoke, folder):
        folder.add("m0")
        result = invoke("run", folder.write(), "--only", "spectrm")
        assert result.exit_code == 2
        assert "there is no analysis 'spectrm'; did you mean 'spectrum'?" in result.stderr

    def test_debug_shows_where(self, invoke, folder):
        folder.add("m0")
        result = invoke("--debug", "run", folder.root / "none.toml")
        assert "Traceback" in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: there is no manifest")

    def test_interruption_says_how_to_go_on(self, invoke, folder, monkeypatch):
        """Oracle: the first result is in the store, and the next run skips it."""
        folder.add("m0")
        folder.add("m1", seed=1)
        path = folder.write()
        real = RunDisplay.__call__

        def press_ctrl_c(self, event):
            real(self, event)
            if type(event).__name__ == "Done":
                raise KeyboardInterrupt

        monkeypatch.setattr(RunDisplay, "__call__", press_ctrl_c)
        result = invoke("run", path, "--no-report")
        assert result.exit_code == 130
        assert "the same command goes on from there" in result.stderr
        monkeypatch.undo()
        assert "1 done, 1 done before" in invoke("run", path, "--no-report").output

    def test_an_unexpected_error_is_one_sentence(self, invoke, folder, monkeypatch):
        def fail(path):
            raise RuntimeError("a bug")

        monkeypatch.setattr(landscape.Zoo, "from_manifest", fail)
        result = invoke("run", folder.root / "zoo.toml")
        assert result.exit_code == 2
        assert "unexpected error, please report it: RuntimeError: a bug" in result.stderr
        assert "Traceback" not in result.stderr


class TestReport:
    def test_run_writes_it_and_report_rebuilds_it(self, invoke, folder):
        """Oracle: the text of the page; a toy analysis from beside the manifest is drawn as well."""
        folder.add("m0")
        folder.add("gone", save=False)
        result = invoke("run", folder.write())
        page = folder.root / "results" / "report.html"
        assert f"report: {page}" in result.output
        first = page.read_text()
        assert "gone.pt" in first
        assert "largest" in first
        result = invoke("report", folder.root / "results", "-o", "again.html", "--analysis", "toys:total")
        assert result.exit_code == 0, result.output
        assert "largest" in (folder.root / "again.html").read_text()

    def test_no_store(self, invoke, tmp_path):
        result = invoke("report", tmp_path / "none")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "there is no store" in result.stderr


class TestScan:
    def test_found_and_skipped(self, invoke, folder):
        folder.add("resnet-s3")
        (folder.root / "broken.pt").write_bytes(b"PK\x03\x04")
        result = invoke("scan", folder.root)
        assert result.exit_code == 0
        assert "resnet-s3" in result.output
        assert "skipped broken.pt: checkpoint" in result.output
        assert "skipped 4 files with .py: not one of .pt" in result.output
        assert "1 checkpoints found" in result.output

    def test_manifest(self, invoke, folder):
        folder.add("m0")
        result = invoke("scan", folder.root, "--write-manifest")
        assert "now name your builders in it" in result.output
        path = folder.root / "zoo.toml"
        assert landscape.Zoo.from_manifest(path).models == ["m0"]
        assert invoke("scan", folder.root, "--write-manifest").exit_code == 2

    def test_layouts_and_facts(self, invoke, folder):
        """Oracle: what the file was made with; the class in it is allowed by name."""
        path = folder.add("net-s3")
        content = {"state_dict": torch.load(path), "test_acc": 0.75, "args": argparse.Namespace(lr=0.5)}
        path.unlink()
        torch.save(content, folder.root / "epoch=3.ckpt")
        refused = invoke("scan", folder.root)
        assert "wants to import argparse.Namespace" in refused.output
        result = invoke("scan", folder.root, "--allow", "argparse.Namespace")
        assert "1 checkpoints found in" in result.output
        assert "(1 lightning)" in result.output
        assert "epoch 3, learning_rate 0.5, test_acc 0.75" in " ".join(result.output.split())

    def test_no_directory(self, invoke, tmp_path):
        result = invoke("scan", tmp_path / "none")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


class TestAnalysisCommands:
    @pytest.mark.parametrize("name", [n for n, a in discover().items() if a.scope != "table"])
    def test_help_lists_every_option(self, name, invoke):
        """Oracle: the declaration."""
        result = invoke(name, "--help")
        assert result.exit_code == 0
        for option, field in discover()[name].params.model_fields.items():
            assert f"--{option.replace('_', '-')}" in result.output
            words = " ".join(result.output.split())
            assert field.description.split()[0] in words

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
                "option 'batchnorm' of the problem cannot be 'x': Input should be 'checkpoint' or 'batch'",
            ),
            (("m0.pt", "--loss", "mes"), "there is no loss 'mes'"),
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
        """Oracle: a whole module in a pickle loads only when trusted, and then with a warning."""
        torch.save(torch.nn.Linear(2, 2), "whole.pt")
        arguments = ("whole.pt", "--model", "torch.nn:Linear", "--data", "toy_data:blobs", "--k", 1)
        arguments += ("--model-kwargs", '{"in_features": 2, "out_features": 2}')
        result = invoke("spectrum", *arguments)
        assert (result.exit_code, "Linear" in result.stderr) == (2, True)
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


class TestShow:
    def test_a_result(self, invoke, folder):
        folder.add("m0", 'group = "g"')
        invoke("run", folder.write(TOTAL + "\nscale = 2.0"), "--no-report")
        (file,) = (folder.root / "results" / "total").glob("*.h5")
        result = invoke("show", file)
        assert result.exit_code == 0
        words = result.output.split()
        assert {"value", "nat", "x:", "group", "g"} <= set(words)
        result = invoke("show", folder.root / "results" / "zoo.h5")
        assert result.output.split() == ["total/m0"]
        result = invoke("show", folder.root / "results" / "zoo.h5", "--group", "total/m0")
        assert "nat" in result.output

    def test_no_result(self, invoke, tmp_path):
        save(xr.Dataset({"a": ((), 1.0)}), tmp_path / "plain.h5")
        assert invoke("show", tmp_path / "plain.h5").exit_code == 0
        result = invoke("show", tmp_path / "none.h5")
        assert result.exit_code == 2
        assert "there is no file" in result.stderr


class TestDisplay:
    @pytest.mark.parametrize("terminal", [False, True])
    def test_events_become_lines(self, terminal, folder):
        """Oracle: the events of a run with one failure; a terminal gets a bar as well."""
        folder.add("m[0]")  # not markup
        folder.add("gone", save=False)
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=200, color_system=None)
        with ProgressBar(console) as meter:
            landscape.Zoo.from_manifest(folder.write()).run(on_event=RunDisplay(meter))
        shown = text.getvalue()
        assert "2 tasks to do, 0 done before" in shown
        assert "[1/2, about" in shown
        assert "total of m[0]: " in shown
        assert "[2/2] total of gone failed: checkpoint" in shown
        assert ("━" in shown) == terminal

    def test_plain_lines_tell_the_time_left(self, monkeypatch):
        """Oracle: a clock turned by hand: a quarter done in 10 s leaves 30 s."""
        now = [0.0]
        monkeypatch.setattr("landscape.cli.display.time.monotonic", lambda: now[0])
        text = io.StringIO()
        meter = ProgressBar(Console(file=text, width=200))
        meter.begin(4, "tasks")
        now[0] = 1.0
        meter.update(0.1, "too soon for a line")
        now[0] = 10.0
        meter.update(1.0, "line of vit")
        assert text.getvalue() == "1.0 of 4 tasks, about 30.0 s left: line of vit\n"

    def test_one_failure_line_for_each_model_and_error(self):
        failures = [Failure(label, "a", model, "k", "bad.", "input") for model in "xy" for label in "ab"]
        assert failure_lines(failures) == ["x (a, b): bad.", "y (a, b): bad."]


class TestProcess:
    """Things only a process of its own can show."""

    def test_help_imports_nothing_heavy(self):
        """Oracle: the modules that a fresh interpreter has loaded."""
        code = (
            "import sys, landscape.cli.app\n"
            "try: landscape.cli.app.main()\n"
            "except SystemExit: pass\n"
            "print([m for m in ('torch', 'xarray', 'plotly', 'matplotlib', 'scipy') if m in sys.modules])"
        )
        command = [sys.executable, "-c", code, "--help"]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        assert out.stdout.splitlines()[-1] == "[]"
        assert "spectrum" in out.stdout

    def test_version(self):
        out = shell("--version")
        assert out.stdout.strip() == landscape.__version__

    def test_usage_errors_are_status_2(self):
        out = shell("nonsense")
        assert out.returncode == 2
        assert "Traceback" not in out.stderr

    def test_no_traceback_unless_asked(self, tmp_path):
        out = shell("run", tmp_path / "zoo.toml")
        assert (out.returncode, len(out.stderr.splitlines())) == (2, 1)
        out = shell("run", tmp_path / "zoo.toml", LANDSCAPE_DEBUG="1")
        assert "Traceback" in out.stderr

    def test_a_zoo_with_bad_members_and_two_workers(self, folder):
        """Oracle: ten good checkpoints, one cut short, one with code that would make a folder."""
        for i in range(10):
            folder.add(f"m{i}", seed=i)
        corrupt = folder.add("corrupt")
        corrupt.write_bytes(corrupt.read_bytes()[:-100])
        evil = folder.add("evil", save=False)
        mark = folder.root / "mark"

        class Malicious:
            def __reduce__(self):
                return (os.mkdir, (str(mark),))

        torch.save({"state_dict": {"x": torch.zeros(1)}, "y": Malicious()}, evil)
        out = shell("run", folder.write(), "--jobs", 2, "--no-report")
        assert out.returncode == 1, out.stderr
        assert not mark.exists()
        assert "10 done, 0 done before, 2 failed" in out.stdout
        listed = [line for line in out.stdout.splitlines() if line.startswith("  ")]
        assert len(listed) == 2
        assert "truncated or damaged" in listed[0]
        assert f"import {os.mkdir.__module__}.mkdir" in listed[1]
        contents = read_contents(folder.root / "results")
        assert sorted(contents.sections[0].results) == [f"m{i}" for i in range(10)]
        assert [f.model for f in contents.failures] == ["corrupt", "evil"]
        assert contents.missing == 0

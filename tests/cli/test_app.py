"""The command line: what it does, what it says, and its exit status."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest
import torch
import xarray as xr

import landscape
from landscape.cli.display import RunDisplay
from landscape.store import read_contents, save

TOTAL = '[analyses.total]\nanalysis = "toys:total"'


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
        """Oracle: two models, one in each half; the page, and the paper, come when asked for."""
        folder.add("m0")
        folder.add("m1", seed=1)
        path = folder.write()
        for shard in ("1/2", "2/2"):
            result = invoke("run", path, "--shard", shard)
            assert "1 done, 0 done before, 0 failed" in result.output
            assert "report" not in result.output
        assert invoke("report", folder.root / "results").exit_code == 0
        assert "report.pdf" in invoke("report", folder.root / "results", "--paper").output
        assert (folder.root / "results" / "report.pdf").read_bytes()[:5] == b"%PDF-"
        refused = invoke("report", folder.root / "results", "--paper", "-o", "page.html")
        assert refused.exit_code == 2 and ".pdf" in refused.output
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
        for both in (("--only", "total", "--only", "twice"), ("--only", "total,twice")):
            assert "0 done, 2 done before" in invoke("run", path, *both, "--store", store).output

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
        assert "now name the model and the data in it" in result.output
        path = folder.root / "zoo.toml"
        assert landscape.Zoo.from_manifest(path).models == ["m0"]
        assert invoke("scan", folder.root, "--write-manifest").exit_code == 2

    def test_layouts_and_facts(self, invoke, folder):
        """Oracle: what the file was made with; the class in it needs no leave, and may be allowed by name."""
        path = folder.add("net-s3")
        content = {"state_dict": torch.load(path), "test_acc": 0.75, "args": argparse.Namespace(lr=0.5)}
        path.unlink()
        torch.save(content, folder.root / "epoch=3.ckpt")
        assert "1 checkpoints found in" in invoke("scan", folder.root).output
        result = invoke("scan", folder.root, "--allow", "argparse.Namespace")
        assert "1 checkpoints found in" in result.output
        assert "(1 lightning)" in result.output
        assert "epoch 3, learning_rate 0.5, test_acc 0.75" in " ".join(result.output.split())

    def test_no_directory(self, invoke, tmp_path):
        result = invoke("scan", tmp_path / "none")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


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


class TestProcess:
    """Things only a process of its own can show."""

    def test_help_imports_nothing_heavy(self):
        """Oracle: the modules that a fresh interpreter has loaded."""
        code = (
            "import sys, landscape.cli.app\n"
            "try: landscape.cli.app.app()\n"
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

        torch.save({"state_dict": Malicious()}, evil)
        out = shell("run", folder.write(), "--jobs", 2, "--no-report")
        assert out.returncode == 1, out.stderr
        assert not mark.exists()
        assert "10 done, 0 done before, 2 failed" in out.stdout
        listed = [line for line in out.stdout.splitlines() if line.startswith("  ")]
        assert len(listed) == 2
        assert "truncated or damaged" in listed[0]
        assert f"it would run a program ({os.mkdir.__module__}.mkdir)" in listed[1]
        contents = read_contents(folder.root / "results")
        assert sorted(contents.sections[0].results) == [f"m{i}" for i in range(10)]
        assert [f.model for f in contents.failures] == ["corrupt", "evil"]
        assert contents.missing == 0

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from landscape.cli.app import app

SCRIPT = """
class Declared:
    def run(self, **given):
        for name, value in sorted(given.items()):
            print(name, "=", value)

STUDY = Declared()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "my_study.py"
    path.write_text(SCRIPT, "utf-8")
    return path


def _invoke(*arguments: str | Path):
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


def test_the_study_of_a_script_is_run_with_what_is_given(script: Path):
    """Oracle: what the script was given, printed by itself."""
    done = _invoke(script, "--quick", "--seeds", "4", "--out", "there")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert {"size = quick", "seeds = 4", "out = there", "jobs = 2", "data = None"} <= set(lines)
    assert "more_seeds = None" in lines
    assert "more_seeds = 10" in _invoke(script, "--more-seeds", "10").stdout.splitlines()
    for flags, size in ((["--full"], "full"), (["--size", "natural"], "natural"), ([], "default")):
        assert f"size = {size}" in _invoke(script, *flags).stdout.splitlines()


def test_what_cannot_be_run_is_refused_in_one_sentence(script: Path, tmp_path: Path):
    """Oracle: exit status 2, and the sentences."""
    empty = tmp_path / "empty_study.py"
    empty.write_text("A = 1\n", "utf-8")
    cases = {
        "there is no script": [tmp_path / "nowhere.py"],
        "one size at a time": [script, "--quick", "--full"],
        "has no 'STUDY'": [empty],
    }
    for sentence, arguments in cases.items():
        done = _invoke(*arguments)
        assert done.exit_code == 2
        assert sentence in " ".join(done.stderr.split())

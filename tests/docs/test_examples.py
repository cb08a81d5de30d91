"""The example notebooks run from a clean start, and the derived pages tell what the registry declares."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

import landscape

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.stem)
def test_notebooks_run(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the script itself, executed in an empty folder, as a notebook would."""
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(script), run_name="notebook")
    assert "landscape" in names
    assert script.read_text("utf-8").count("# %%") > 8


def test_all_notebooks_are_in_the_documentation() -> None:
    """Oracle: the table of contents of the documentation."""
    contents = (ROOT / "docs" / "index.md").read_text("utf-8")
    assert len(SCRIPTS) >= 3
    assert all(f"generated/examples/{s.stem}" in contents for s in SCRIPTS)


def test_pages_of_analyses_tell_all_options_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the declarations themselves, name by name."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    from derived import analysis_page

    for name, analysis in landscape.analyses().items():
        page = analysis_page(analysis)
        assert f"landscape.{name}(" in page
        declared = [*analysis.params.model_fields, *(v.name for v in analysis.schema.variables)]
        assert all(f"| `{n}` |" in page for n in declared)

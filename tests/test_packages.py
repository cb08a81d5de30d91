"""Packages: what is published and opened elsewhere says the same as pyproject.toml and the examples."""

from __future__ import annotations

import ast
import inspect
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

import landscape

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONDA = {"pytorch": "torch", "matplotlib-base": "matplotlib"}


def test_the_recipe_of_conda_asks_for_what_the_project_asks_for():
    """Oracle: pyproject.toml."""
    recipe = yaml.safe_load((ROOT / ".ci" / "conda" / "recipe.yaml").read_text("utf-8"))
    given = [line.split(" ", 1) for line in recipe["requirements"]["run"]]
    found = {CONDA.get(name, name): version for name, version in given}
    assert found.pop("python") == PROJECT["requires-python"]
    assert found == dict(re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in PROJECT["dependencies"])
    assert recipe["context"]["version"] == PROJECT["version"] == landscape.__version__


def test_lowest_versions_are_those_that_the_project_allows():
    """Oracle: pyproject.toml."""
    pinned = (ROOT / ".ci" / "lowest.txt").read_text("utf-8").splitlines()[1:]
    assert pinned == [line.replace(">=", "==") for line in PROJECT["dependencies"]]


def test_a_release_publishes_without_a_secret():
    """Oracle: what PyPI asks of a trusted publisher: an identity token for the job, and no password."""
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "try"
    assert "secrets." not in text
    supported = {c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert set(jobs["try"]["strategy"]["matrix"]["python"]) == supported


def test_notebooks_are_the_examples(monkeypatch: pytest.MonkeyPatch):
    """Oracle: the scripts: their statements in their order, behind the cell that installs landscape."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    from notebooks import notebook

    scripts = sorted((ROOT / "examples").glob("*.py"))
    assert len(scripts) >= 3
    for script in scripts:
        text = script.read_text("utf-8")
        written = json.loads((ROOT / "examples" / "notebooks" / f"{script.stem}.ipynb").read_text("utf-8"))
        assert written == notebook(text), "python docs/notebooks.py"
        cells = ["".join(c["source"]) for c in written["cells"] if c["cell_type"] == "code"]
        assert "%pip install" in cells[0]
        assert ast.unparse(ast.parse("\n".join(cells[1:]))) == ast.unparse(ast.parse(text))


def test_examples_of_integrations_are_short_and_name_what_there_is():
    """Oracle: the package, for each name that an example takes from it."""
    page = (ROOT / "docs" / "integrations.md").read_text("utf-8")
    examples = re.findall(r"```(?:python|bash)\n(.*?)```", page, re.DOTALL)
    assert len(examples) >= 8
    assert all(example.count("\n") < 20 for example in examples)
    for example in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "landscape":
                assert callable(getattr(landscape, node.attr))
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[0] == "landscape":
                taken = inspect.signature(getattr(landscape, node.func.attr)).parameters
                keywords = {keyword.arg for keyword in node.keywords}
                open_ended = any(p.kind is p.VAR_KEYWORD for p in taken.values())
                assert open_ended or keywords <= set(taken), ast.unparse(node)
    extras = set(re.findall(r"`([a-z]+)`", "".join(re.findall(r"^\|.*\|([^|]*)\|$", page, re.MULTILINE))))
    assert extras <= set(PROJECT["optional-dependencies"])

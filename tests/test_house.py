"""The plan of the house, held by a test: tests stand where their modules stand, and rooms stay small.

``python tests/test_house.py`` prints what is out of place.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES_IN_A_FOLDER = 20
LINES_IN_A_MODULE = 420
"""The rule says "about 400": one more sentence in a docstring is no reason to cut a module in two."""

TESTED_ELSEWHERE = {
    "__init__.py": "names that load on first use: tests of what they name, tests/test_moved.py",
    "__main__.py": "one call of the command line: tests/cli/test_app.py runs it",
    "callbacks/__init__.py": "names that load on first use: tests/callbacks",
    "callbacks/live.py": "results of a training: tests/callbacks/test_probe.py",
    "callbacks/moments.py": "what stores remember of a training: tests/callbacks/test_probe.py",
    "analyses/*/_options.py": "fields of options: tests of the analyses that have them",
    "analyses/*/*/options.py": "fields of options: test_compute.py of the package",
    "analyses/*/*/schema.py": "a declaration: tests/test_contract.py holds results against it",
    "analyses/*/*/figures.py": "pictures of results: test_compute.py of the package, which makes them",
    "analyses/*/figures.py": "pictures of results: test_compute.py of the package, which makes them",
    "analyses/*/*/__init__.py": "a declaration: test_compute.py of the package, tests/test_contract.py",
    "reporting/__init__.py": "one call of the modules beside it: reporting/test_page.py",
    "base/from_zoo.py": "a declaration: tests/zoo/test_subjects.py",
    "analyses/__init__.py": "finds a family by name: tests/test_contract.py",
}
"""Modules without a test file of their own, and what tests them. Patterns are paths within landscape/."""

TESTS_OF_MORE = {
    "test_combinations.py": "models, data, losses and contexts together",
    "test_contract.py": "every analysis that is registered, held to one contract",
    "test_crash.py": "whole runs, killed",
    "test_error_bars.py": "the errors of all analyses, against populations and exact matrices",
    "test_house.py": "the files themselves",
    "test_large_models.py": "models of other packages, with their weights",
    "test_gpu_benchmark.py": "a script beside the package",
    "test_packages.py": "what is published beside the package",
    "analyses/test_architectures.py": "every analysis on every architecture",
    "analyses/surfaces/test_line_directions.py": "lines along eigenvectors: two families together",
    "cli/test_calls.py": "whatever the command line may be called with",
    "faults/test_flips.py": "results and zoo.h5, every bit of which may flip",
    "faults/test_signals.py": "whole runs, to which signals are sent at any moment",
    "faults/test_fuzz.py": "files of strangers, changed at random, and all that reads them",
    "core/linalg/test_three_term.py": "a recurrence and the densities that come of it",
    "docs/test_*.py": "the documentation and its examples",
    "reference/models/test_models.py": "what all models of the room have in common",
    "reference/training/methods/test_composition.py": "all training methods together",
    "reference/test_names.py": "names that manifests hold",
    "reporting/test_browser.py": "the report in a browser",
    "studies/test_natural_size.py": "studies from packed images to verdicts",
    "zoo/test_faults.py": "files that are damaged while a zoo runs",
    "zoo/test_real_files.py": "files that other libraries wrote",
    "zoo/test_scale.py": "zoos of many models",
}
"""Test files that stand for no single module. Patterns are paths within tests/."""


def has_code(path: Path) -> bool:
    """Whether a module defines anything, beside imports, names and the door to its old names."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def modules() -> list[str]:
    """Modules that need a test, as paths within landscape/; of ``__init__`` those that hold code."""
    found = sorted((ROOT / "landscape").rglob("*.py"))
    return [
        path.relative_to(ROOT / "landscape").as_posix()
        for path in found
        if path.name != "__init__.py" or has_code(path)
    ]


def expected_test(module: str) -> str:
    """Where the test of a module stands within tests/.

    A leading underscore goes: core/linalg/_x.py has core/linalg/test_x.py. A package's own code is tested
    beside it, under its name: plotting/__init__.py by plotting/test_plotting.py.
    """
    path = Path(module)
    name = path.parent.name or "landscape" if path.name == "__init__.py" else path.stem
    return (path.parent / f"test_{name.strip('_')}.py").as_posix()


def present_tests() -> list[str]:
    """Test files, as paths within tests/."""
    home = ROOT / "tests"
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("test_*.py"))


def listed(path: str, patterns: dict[str, str]) -> bool:
    """Whether a list holds a path; ``*`` stands for one name."""
    parts = path.split("/")
    return any(
        len(parts) == len(wanted) and all(map(fnmatch, parts, wanted))
        for wanted in (pattern.split("/") for pattern in patterns)
    )


def untested() -> list[str]:
    """Modules that have neither a test file nor a reason to have none."""
    there = set(present_tests())
    return [m for m in modules() if expected_test(m) not in there and not listed(m, TESTED_ELSEWHERE)]


def homeless() -> list[str]:
    """Test files of which there is no module, nor a reason why."""
    known = {expected_test(module) for module in modules()}
    return [test for test in present_tests() if test not in known and not listed(test, TESTS_OF_MORE)]


def outdated() -> list[str]:
    """Entries of the two lists that stand for nothing, or for something that has its test."""
    there, known = set(present_tests()), {expected_test(module) for module in modules()}
    needed = [m for m in modules() if expected_test(m) not in there]
    spare = [test for test in there if test not in known]
    return [
        *(p for p in TESTED_ELSEWHERE if not any(listed(m, {p: ""}) for m in needed)),
        *(p for p in TESTS_OF_MORE if not any(listed(t, {p: ""}) for t in spare)),
    ]


def crowded() -> list[str]:
    """Folders with too many modules."""
    folders = Counter(path.parent for path in (ROOT / "landscape").rglob("*.py") if path.stem != "__init__")
    return [str(f.relative_to(ROOT)) for f, count in folders.items() if count > MODULES_IN_A_FOLDER]


def long() -> list[str]:
    """Modules with too many lines."""
    return [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "landscape").rglob("*.py"))
        if len(path.read_text(encoding="utf-8").splitlines()) > LINES_IN_A_MODULE
    ]


def imports(tree: ast.AST) -> Iterator[str]:
    """What a module imports, at the top or later; not what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from imports(node)


def circles() -> list[str]:
    """Modules that import each other, over however many others; the first circle that is found."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "landscape").rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        found = imports(ast.parse(path.read_text(encoding="utf-8")))
        # "from package import module" and "from module import name" look alike
        known = {full if full in files else full.rpartition(".")[0] for full in found}
        graph[name] = {other for other in known if other in files and other != name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


CHECKS = {
    "modules without a test file": untested,
    "test files without a module": homeless,
    "entries of the lists that are no longer needed": outdated,
    f"folders of more than {MODULES_IN_A_FOLDER} modules": crowded,
    f"modules of more than {LINES_IN_A_MODULE} lines": long,
    "import circles": circles,
}


@pytest.mark.parametrize("rule", CHECKS)
def test_nothing_is_out_of_place(rule):
    """Oracle: the files themselves, and two short lists of exceptions, each with its reason."""
    assert CHECKS[rule]() == []


def test_where_a_test_belongs():
    """Oracle: by inspection."""
    assert expected_test("core/linalg/krylov.py") == "core/linalg/test_krylov.py"
    assert expected_test("analyses/connectivity/_profiles.py") == "analyses/connectivity/test_profiles.py"
    assert expected_test("plotting/__init__.py") == "plotting/test_plotting.py"
    assert expected_test("errors.py") == "test_errors.py"
    assert listed("analyses/a/b/schema.py", {"analyses/*/*/schema.py": ""})
    assert not listed("analyses/a/schema.py", {"analyses/*/*/schema.py": ""})
    assert not listed("analyses/a/b/c/schema.py", {"analyses/*/*/schema.py": ""})


if __name__ == "__main__":
    for rule, check in CHECKS.items():
        print(f"{rule}:", *check() or ["none"], sep="\n    ")

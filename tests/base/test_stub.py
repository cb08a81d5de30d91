"""The typed face of the package: current, and refusing what does not exist."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

import landscape
from landscape.base.stub import _type, index_text, stub_text

ROOT = Path(landscape.__file__).parent

WRONG = {
    "landscape.Problem(model, 'mse', data, nonsense=4)": "nonsense",
    "landscape.Problem(1, 2, 3, nonsense=4)": "nonsense",
    "landscape.spectrum(problem, kk=5)": "kk",
    "landscape.spectrum(problem, k='five')": '"k"',
    "landscape.spectrum(problem, which='XX')": "XX",
    "landscape.connect(problem)": "arguments",
    "landscape.cka(problem)": "Problem",
    "landscape.taxonomy({}, nonsense=1)": "nonsense",
    "landscape.surface.nonsense": "nonsense",
    "landscape.no_such_thing": "no_such_thing",
    "landscape.save(3)": "path",
}
"""Lines that a type checker must refuse, with a word of its message."""

RIGHT = [
    "problem = landscape.Problem(model, 'cross_entropy', data, weight_decay=1e-3)",
    "result: xr.Dataset = landscape.spectrum(problem, k=5, which='LA', tol=1, start=None)",
    "landscape.connect(problem, {}, problem.theta, align='weights')",
    "landscape.cka({'one': problem}, layers='stages.*')",
    "landscape.fourier(problem, layers=['a', 'b'], bins=7)",
    "landscape.taxonomy({'load': [1.0]}, columns={'load': 'width'})",
    "scope: str = landscape.surface.scope",
    "landscape.surface.validate({'steps': (3, 3)})",
    "names: list[str] = sorted(landscape.analyses())",
    "figure = landscape.plot(result, backend='matplotlib')",
    "page: Path = landscape.report('store')",
    "own: type[landscape.Params] = landscape.Params",
]
"""Lines that a type checker must accept."""

HEAD = """\
from pathlib import Path
from typing import Any
import xarray as xr
from torch import nn
import landscape
model: nn.Module = nn.Linear(1, 1)
data: Any = None
"""


@pytest.mark.parametrize(("file", "text"), [("__init__.pyi", stub_text), ("analyses/index.json", index_text)])
def test_the_files_are_current(file, text):
    """Oracle: the registry and the options, read now."""
    assert (ROOT / file).read_text("utf-8") == text(), "run `python -m landscape.base.stub`"


def test_the_stub_names_all_there_is():
    """Oracle: ``dir`` of the package, and the signatures that Python shows."""
    text = stub_text()
    names = re.findall(r'^    "(\w+)",$', text, re.MULTILINE)
    assert set(names) == set(dir(landscape))
    for name, analysis in landscape.analyses().items():
        assert f"\n{name}: _" in text
        part = text[: text.index(f"\n{name}: _")].rpartition("\nclass ")[2]
        for parameter in inspect.signature(analysis).parameters.values():
            assert re.search(rf"^        {parameter.name}: .+,$", part, re.MULTILINE), (name, parameter)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "int"),
        (str | None, "str | None"),
        (Literal["a", 3], "Literal['a', 3]"),
        (tuple[int, float], "tuple[int, float]"),
        (tuple[str, ...], "Sequence[str] | str"),
        (tuple[Annotated[int, Field(ge=1)], ...] | None, "Sequence[int] | str | None"),
        (dict[str, Any], "Mapping[str, Any]"),
    ],
)
def test_types_are_written_for_those_who_call(kind, text):
    """Oracle: what pydantic takes for an option of the type, by hand."""
    assert _type(kind) == text


def test_a_type_without_a_spelling_is_an_error():
    """Oracle: a class that callers of the package do not know must not be guessed at."""
    with pytest.raises(TypeError, match="no type is known"):
        _type(Path)


def refused(output, lines):
    """The messages of a type checker by line of the code; both write ``code.py:LINE``, then the kind."""
    found: dict[str, str] = {}
    for number, message in re.findall(r"code\.py:(\d+)[:\d]* ?[-:]? ?(error.*)", output):
        found[lines[int(number) - 1]] = found.get(lines[int(number) - 1], "") + message
    return found


def check(command, folder):
    """Which of the lines a type checker refuses."""
    lines = [*HEAD.splitlines(), *RIGHT, *WRONG]
    (folder / "code.py").write_text("\n".join(lines))
    # CI checks an installed package; here the package is found by its place
    places = os.pathsep.join([str(ROOT.parent), os.environ.get("MYPYPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [*command, "code.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "MYPYPATH": places, "PYTHONPATH": places},
    )
    found = refused(done.stdout, lines)
    assert set(found) == set(WRONG), done.stdout + done.stderr
    assert all(word in found[line] for line, word in WRONG.items()), found


def test_mypy_refuses_what_does_not_exist(tmp_path):
    """Oracle: a type checker, which reads the stub and runs nothing."""
    # of libraries nothing is asked here, and to read them would take longer than all the rest
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nfollow_imports = skip\n[mypy-landscape.*]\nfollow_imports = silent\n"
    )
    check([sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache")], tmp_path)


def test_pyright_refuses_it_too(tmp_path):
    """Oracle: another type checker, by other people, in another language."""
    pytest.importorskip("pyright", reason="pyright is not installed")
    # The package fetches the checker itself on its first run, which takes a network.
    starts = subprocess.run([sys.executable, "-m", "pyright", "--version"], capture_output=True, text=True)
    if starts.returncode:
        pytest.skip(f"pyright does not start: {starts.stderr.strip().splitlines()[-1:]}")
    check([sys.executable, "-m", "pyright", "--pythonpath", sys.executable], tmp_path)

"""The examples as notebooks: ``python docs/notebooks.py`` writes them into examples/notebooks.

They open in Jupyter and Colab as they are: their data come with a package or are made in them, and the first
cell installs landscape where it is not.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["notebook", "write_notebooks"]

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
_CELL = re.compile(r"^# %%( \[markdown\])?\s*$", re.MULTILINE)
_HEAD = re.compile(r"\A# ---\n.*?^# ---\n", re.DOTALL | re.MULTILINE)
_INSTALL = """\
# Where landscape is not installed, as on Colab:
import importlib.util

if importlib.util.find_spec("landscape") is None:
    %pip install -q "landscape-toolkit[demo]"
"""


def notebook(script: str) -> dict[str, Any]:
    """A script whose cells begin with ``# %%``, as a notebook of format 4.5 without outputs."""
    parts = _CELL.split(_HEAD.sub("", script))[1:]
    cells = [_cell(0, "code", _INSTALL)]
    for number, (kind, text) in enumerate(zip(parts[::2], parts[1::2], strict=True), 1):
        if kind:
            text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
        cells.append(_cell(number, "markdown" if kind else "code", text))
    cells.insert(0, cells.pop(1))  # the title first
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": python, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    lines = text.strip("\n").splitlines(keepends=True)
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": lines}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def write_notebooks(target: Path) -> list[Path]:
    """Write a notebook for each example; return the files."""
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for script in sorted(_EXAMPLES.glob("*.py")):
        file = target / f"{script.stem}.ipynb"
        content = notebook(script.read_text("utf-8"))
        file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
        written.append(file)
    return written


if __name__ == "__main__":
    for path in write_notebooks(_EXAMPLES / "notebooks"):
        print(path)

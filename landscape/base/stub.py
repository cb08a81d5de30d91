"""Two files that follow from the registry: the types of `landscape`, and the list of analyses.

``python -m landscape.base.stub`` writes them: ``landscape/__init__.pyi``, from which editors and type
checkers know every name and every option, and ``landscape/analyses/index.json``, from which
``landscape --help`` lists what it has not imported. A test holds them current. Analyses of plug-ins are in
neither.
"""

from __future__ import annotations

import ast
import importlib
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from landscape.base.analysis import SUBJECTS
from landscape.base.params import ONE_FOR_BOTH
from landscape.base.registry import Entry, declared

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from landscape.base.analysis import Analysis

__all__ = ["index_text", "stub_text", "write"]

_TYPES = {
    "problem": "Problem",
    "problems": "Mapping[str, Problem]",
    "a": "Tensor | Mapping[str, Tensor]",
    "b": "Tensor | Mapping[str, Tensor]",
    "table": "Any",
}
"""Types of the subjects of calls."""

_HEAD = '''\
"""The public names of landscape, with their types. Written by ``python -m landscape.base.stub``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import xarray as xr
from torch import Tensor
'''


def write() -> None:
    """Write both files anew."""
    package = importlib.import_module("landscape")
    root = Path(package.__path__[0])
    (root / "__init__.pyi").write_text(stub_text(), "utf-8")
    (root / "analyses" / "index.json").write_text(index_text(), "utf-8")


def index_text() -> str:
    """The index: what a list says of each analysis, as JSON by name."""
    found = ((a.name, Entry(a.title, a.scope, module)) for module, a in declared())
    entries = {name: entry._asdict() for name, entry in sorted(found)}
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def stub_text() -> str:
    """The stub: each public name, and for each analysis a class whose call has its options."""
    package = importlib.import_module("landscape")
    homes: dict[str, str] = package._HOMES
    analyses = {a.name: a for _, a in declared()}
    names = sorted({*package.__all__, *analyses})
    lines = [_HEAD]
    lines += [f"from {home} import {name} as {name}" for name, home in sorted(homes.items(), key=_by_home)]
    lines += [f"from landscape import {room} as {room}" for room in package._ROOMS]
    lines += ["", "__version__: str", "__all__ = ["]
    lines += [*(f'    "{name}",' for name in names), "]", ""]
    lines += ["def analyses() -> dict[str, Analysis]:", '    """All analyses by name."""', ""]
    for _, analysis in sorted(analyses.items()):
        lines += _declaration(analysis)
    return "\n".join(lines)


def _by_home(item: tuple[str, str]) -> tuple[str, str]:
    return item[1], item[0]


def _declaration(analysis: Analysis) -> Iterator[str]:
    """An analysis is an object with attributes that can be called: a class of its own, and one instance."""
    kind = "_" + "".join(part.capitalize() for part in analysis.name.split("_"))
    yield f"class {kind}(Analysis):"
    yield "    def __call__("
    yield "        self,"
    yield from (f"        {name}: {_TYPES[name]}," for name in SUBJECTS[analysis.scope])
    yield "        /,"
    fields = analysis.params.model_fields
    yield "        *,"
    yield from (f"        {n}: {_taken(f)} = {_default(f)}," for n, f in fields.items())
    yield from (f"        {name}: Any = None," for name in analysis.inputs)
    if "progress" not in fields:
        yield "        progress: bool | Callable[[float], None] = False,"
    yield "    ) -> xr.Dataset:"
    yield from _docstring(analysis)
    yield f"{analysis.name}: {kind}"
    yield ""


def _docstring(analysis: Analysis) -> Iterator[str]:
    yield f'        """{_quoted(analysis.title)}.'
    fields = analysis.params.model_fields
    if fields:
        yield ""
        yield "        Args:"
    for name, field in fields.items():
        text = _quoted(f"{name}: {field.description}.")
        yield from textwrap.wrap(text, 104, initial_indent=" " * 12, subsequent_indent=" " * 16)
    yield '        """'
    yield ""


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''")


def _taken(field: FieldInfo) -> str:
    """The type of an option, and of what stands for it."""
    also = "int | " if ONE_FOR_BOTH in field.metadata else ""
    return also + _type(field.annotation)


def _type(kind: Any) -> str:
    """How an option's type is written for its callers, who may give more forms than the option keeps."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind in (None, NoneType):
        return "None"
    if kind is Any:
        return "Any"
    if origin is Annotated:
        return _type(parts[0])
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_type(part) for part in parts))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, parts))}]"
    if origin is tuple and Ellipsis in parts:  # lists are taken too, and one text for several
        return f"Sequence[{_type(parts[0])}] | str"
    if origin is tuple:
        return f"tuple[{', '.join(map(_type, parts))}]"
    if origin is dict:
        return f"Mapping[{', '.join(map(_type, parts))}]"
    if isinstance(kind, type) and kind.__module__ == "builtins":
        return kind.__name__
    raise TypeError(f"no type is known that callers could write for {kind!r}.")


def _default(field: FieldInfo) -> str:
    """The default as it is written in a call; ``...`` if that would take more than a literal."""
    text = repr(field.default)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return "..."
    return text


if __name__ == "__main__":
    write()

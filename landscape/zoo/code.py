"""The code of a manifest's own, the modules beside it: what of it a result was computed with, as hashes.

Two programs count as one if they differ in comments, layout and docstrings alone. What is installed is told
by its version, and files that are no Python (a builder that reads ``model.yaml``) by nothing.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from landscape.errors import InputError
from landscape.imports import LIBRARIES, REFERENCE

if TYPE_CHECKING:
    from landscape.store import Store
    from landscape.zoo.problem_options import ProblemOptions
    from landscape.zoo.spec import Builder, Model
    from landscape.zoo.task import Task

__all__ = [
    "KEEP",
    "REDO",
    "Code",
    "by_other_code",
    "changed_code",
    "ensure_loaded",
    "mark_of",
    "own_code",
    "references_of",
    "words_of",
]

Code = Mapping[str, str]
"""Hashes of modules by their files, relative to the manifest's folder."""

KEEP, REDO = "keep", "redo"
"""What may become of results of other code."""

_LENGTH = 32
_SHOWN = 5


class _Import(NamedTuple):
    """``from LEVEL MODULE import NAMES``; without names, ``import MODULE``."""

    level: int
    module: str
    names: tuple[str, ...]


def references_of(
    models: Iterable[Model], data: Builder | None, problem: ProblemOptions, analysis: str = ""
) -> list[str]:
    """What the numbers about some models may come from: all ``module:function`` that were named.

    Args:
        models: Checkpoints and predictives, these with their members and what fits them.
        data: The data builder.
        problem: Names loss, forward and size.
        analysis: As a section names it.
    """
    builders, loaders = [data] if data is not None else [], []
    todo = list(models)
    while todo:
        model = todo.pop()
        todo += getattr(model, "members", ())
        builders += [b for b in (model.builder, getattr(model, "fit", None)) if b is not None]
        loaders.append(model.loader)
    found = [*loaders, analysis, problem.loss, problem.forward or "", problem.size or ""]
    for builder in builders:
        found += [builder.reference, *_named(builder.kwargs)]
    return [reference for reference in dict.fromkeys(found) if ":" in reference]


def _named(value: Any) -> Iterator[str]:
    """References among the arguments of a builder, which may have a function of its own looked up."""
    if isinstance(value, str):
        if re.match(REFERENCE, value):
            yield value
    elif isinstance(value, Mapping):
        for held in value.values():
            yield from _named(held)
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _named(held)


def own_code(references: Iterable[str], folder: Path) -> dict[str, str]:
    """The modules in a folder that references name, and those in it that they import, as they are now.

    Args:
        references: ``module:attribute``; what is not in the folder is passed over.
        folder: The manifest's.

    Returns:
        A hash of each by its file, relative to the folder.
    """
    found: dict[str, str] = {}
    todo = [reference.partition(":")[0] for reference in references]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for module, file in _files(name, folder):
            place = file.relative_to(folder).as_posix()
            if place in found or (data := _content(file)) is None:
                continue
            found[place], imports = _read(data)
            todo += _modules(imports, module, file.name == "__init__.py")
    return dict(sorted(found.items()))


def mark_of(code: Code) -> str:
    """A short name of some code, for a folder of pieces; empty if there is none."""
    return hashlib.sha256(json.dumps(sorted(code.items())).encode()).hexdigest()[:8] if code else ""


def words_of(code: Code) -> str:
    """Some code as it stands in the file of a result that was computed with it."""
    return json.dumps(dict(code))


def by_other_code(store: Store, task: Task) -> tuple[str, ...]:
    """The files whose code has changed since the result of a task was computed; empty if that is unknown."""
    if task.code and store.names(task.folder, task.key, words_of(task.code)):
        return ()
    recorded = store.recorded(task.folder, task.key, "code")
    if not recorded:  # of a version that kept no hashes: neither changed nor unchanged
        return ()
    return tuple(f for f in sorted({*recorded, *task.code}) if recorded.get(f) != task.code.get(f))


def changed_code(found: Sequence[tuple[Task, tuple[str, ...]]], redo: bool) -> str:
    """A sentence on results of other code, and on what becomes of them.

    Args:
        found: Their tasks, and the files that changed since.
        redo: Whether they are computed again.
    """
    files = sorted({file for _, changed in found for file in changed})
    subjects: dict[str, list[str]] = {}
    for task, _ in found:
        subjects.setdefault(task.label, []).append(task.subject)
    shown = [f"{label} of {_some(names)}" for label, names in subjects.items()]
    one = len(found) == 1
    return (
        f"{len(found)} {'result is' if one else 'results are'} of older code ({_some(files)} changed since):"
        f" {'; '.join(shown)}. {'It is' if one else 'They are'} "
        + (
            "computed again."
            if redo
            else "kept; to compute again: --changed redo (in Python changed='redo')."
        )
    )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


# What this process has imported, by file, since files may change while it lives; and what was found so.
_imported: dict[Path, str] = {}
_ensured: dict[Path, dict[str, str]] = {}


def ensure_loaded(code: Code, folder: Path) -> None:
    """Have this process compute with that code: modules that it imported when they were others are dropped.

    A worker of a cluster, or a notebook, outlives the files that it imported. What it computes must not
    be stored under the hash of what it never ran.

    Raises:
        InputError: If the files are other ones by now than when the run was planned.
    """
    known = _ensured.setdefault(folder, {})
    if code.items() <= known.items():
        return
    now = {place: _digest(folder / place) for place in code}
    files = {place: (folder / place).resolve() for place in code}
    loaded = _loaded({*files.values(), *_imported})
    for place, file in files.items():
        if file in loaded:  # imported before anybody looked: as it is now
            _imported.setdefault(file, now[place])
    if any(file in loaded and _imported[file] != code[place] for place, file in files.items()):
        for names in loaded.values():  # all, since they import one another
            for name in names:
                sys.modules.pop(name, None)
        loaded = {}
        known.clear()
    changed = [place for place, file in files.items() if file not in loaded and now[place] != code[place]]
    if changed:
        raise InputError(f"{', '.join(changed)} changed while the run was under way: run again.")
    _imported.update({file: code[place] for place, file in files.items()})
    known.update(code)


def _loaded(files: set[Path]) -> dict[Path, list[str]]:
    """Names of the modules of this process that came from those files."""
    found: dict[Path, list[str]] = {}
    names = {file.name for file in files}
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__dict__", {}).get("__file__")  # no `getattr`: it may import on demand
        if (
            not isinstance(origin, str)
            or name in ("__main__", "__mp_main__")
            or Path(origin).name not in names
        ):
            continue
        file = Path(origin).resolve()
        if file in files:
            found.setdefault(file, []).append(name)
    return found


def _files(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The module of a dotted name, with the packages it is in, as far as they are files of the folder."""
    parts = name.split(".")
    if parts[0] in LIBRARIES:  # which are never taken from there
        return
    for count in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:count])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                yield ".".join(parts[:count]), file
                break


def _modules(imports: Iterable[_Import], module: str, package: bool) -> Iterator[str]:
    """The dotted names that a module's imports may mean."""
    parts = module.split(".")
    for level, name, names in imports:
        inside = parts[: len(parts) - level + (1 if package else 0)] if level else []
        if level > len(parts) + (1 if package else 0):
            continue
        base = ".".join([*inside, *([name] if name else [])])
        if base:
            yield base
        yield from (f"{base}.{n}" if base else n for n in names)


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:  # the import will say so
        return None


def _digest(file: Path) -> str:
    data = _content(file)
    return "" if data is None else _read(data)[0]


@lru_cache(maxsize=256)
def _read(data: bytes) -> tuple[str, tuple[_Import, ...]]:
    """The hash of a module by its source, and what it imports."""
    try:
        tree = ast.parse(data)
        content = "".join(_shape(tree)).encode("utf-8", "surrogatepass")
        imports = tuple(_imports(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # no program: whoever imports it says so
        content, imports = data, ()
    return hashlib.sha256(content).hexdigest()[:_LENGTH], imports


def _shape(node: Any) -> Iterator[str]:
    """What a piece of program does, as text, the same in all versions of Python that have its syntax."""
    # By hand, since what `ast.dump` and `ast.unparse` write changes with Python's version: an upgrade would
    # pass for a change of code.
    if isinstance(node, ast.Constant):
        yield f"{type(node.value).__name__} {node.value!r};"
    elif isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or name in ("ctx", "type_comment", "type_ignores"):
                continue
            yield f"{name}="
            statements = name in ("body", "orelse", "finalbody") and isinstance(value, list)
            yield from _shape([s for s in value if not _does_nothing(s)] if statements else value)
        yield ")"
    elif isinstance(node, list | tuple):
        yield "["
        for item in node:
            yield from _shape(item)
        yield "]"
    else:
        yield f"{node!r};"


def _does_nothing(statement: object) -> bool:
    """Docstrings, texts in place of comments, ``...`` and ``pass``."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)


def _imports(tree: ast.AST) -> Iterator[_Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (_Import(0, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield _Import(node.level, node.module or "", tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield _Import(0, node.args[0].value, ())

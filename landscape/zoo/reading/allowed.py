"""Which names a user may allow a pickle to use, and which of those a message may offer."""

from __future__ import annotations

import ast
import importlib.machinery
import io
import mmap
import re
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from landscape import imports
from landscape.errors import CheckpointError, InputError
from landscape.text import foreign

__all__ = ["allowed", "listed", "offered"]

# Functions that only put together what the pickle holds.
_FUNCTIONS = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_\w+|numpy\.(_)?core\.multiarray\.(_reconstruct|scalar)"
    r"|numpy\.(_)?core\.numeric\._frombuffer|_codecs\.encode|(copyreg|copy_reg)\._reconstructor"
)
# Of the standard library, classes that hold values and do nothing.
_LIBRARY = re.compile(
    r"argparse\.Namespace|types\.SimpleNamespace|collections\.\w+|datetime\.\w+|decimal\.Decimal"
    r"|fractions\.Fraction|uuid\.UUID|(?:pathlib|pathlib\._local)\.(Pure)?(Posix|Windows)?Path"
    r"|(builtins|__builtin__)\.(int|float|bool|str|list|dict|tuple|set|frozenset|complex|slice|range|object)"
)
# Parts of libraries whose classes open, load or start something when they are made.
_REFUSED = re.compile(
    r"(torch\.(package|jit|hub|multiprocessing|distributed|utils|fx|_dynamo|_inductor|export|serialization|storage)"
    r"|numpy\.(lib|f2py|ctypeslib|testing)|pandas\.io|joblib|dill|cloudpickle|h5py|zarr|ray|dask|distributed"
    r"|landscape(?!\.reference\.(models|layers|uncertainty)\.))(\..*)?"
)
_REFUSED_BASES = (
    io.IOBase,
    mmap.mmap,
    threading.Thread,
    subprocess.Popen,
    types.ModuleType,
    type,
)
_SHOWN = 5


def allowed(names: Iterable[str], path: Path) -> list[tuple[Callable[..., Any], str]]:
    """The objects that allowed names stand for, with the names.

    Args:
        names: As the user gave them.
        path: The checkpoint, for error messages.

    Raises:
        CheckpointError: If a name is that of a function that could load or run something, or cannot be
            imported.
    """
    return [(_accepted(name, path), name) for name in names]


def _accepted(name: str, path: Path) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    if not module or not attribute:
        raise CheckpointError(
            f"'{name}', allowed for checkpoint '{path}', must have the form 'package.module.name'."
        )
    refusal = CheckpointError(
        f"'{foreign(name)}' cannot be allowed for checkpoint '{path}': it is no class of plain values, and"
        " a file that calls it may run any program; only --trust-pickle, which lets it, reads such a file."
    )
    if _refused(name):
        raise refusal  # before anything is imported
    try:
        found: Callable[..., Any] = imports.resolve(f"{module}:{attribute}", "name")
    except InputError as error:
        raise CheckpointError(
            f"'{name}', allowed for checkpoint '{path}', cannot be imported: {error}"
        ) from error
    if not _FUNCTIONS.fullmatch(name) and not _is_harmless(found):
        raise refusal
    return found


def offered(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names that a message may offer to allow, and those that would run a program.

    Nothing is imported for it: a name that is not loaded yet is looked for in the source of its module.
    """
    ours: list[str] = []
    others: list[str] = []
    for name in names:
        (ours if _FUNCTIONS.fullmatch(name) or (not _refused(name) and _is_class(name)) else others).append(
            name
        )
    return ours, others


def _refused(name: str) -> bool:
    top = name.partition(".")[0]
    in_library = top in sys.stdlib_module_names or top in (
        "__builtin__",
        "copy_reg",
        "posix",
        "nt",
        "__main__",
    )
    if in_library and top != "__main__":
        return not (_LIBRARY.fullmatch(name) or _FUNCTIONS.fullmatch(name))
    return _REFUSED.fullmatch(name) is not None and not _FUNCTIONS.fullmatch(name)


def _is_harmless(found: object) -> bool:
    """Whether it is a class, of values and not of files, threads, programs or modules."""
    if not isinstance(found, type):
        return False
    defined = f"{found.__module__}.{found.__qualname__}"
    if _refused(defined):  # a name of another module for it changes nothing
        return False
    return not issubclass(found, _REFUSED_BASES) and "memmap" not in {c.__name__ for c in found.__mro__}


def _is_class(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    loaded = vars(sys.modules[module]) if module in sys.modules else None
    if loaded is not None:
        return attribute in loaded and _is_harmless(loaded[attribute])
    return attribute in _classes_in(module)


@cache
def _classes_in(module: str) -> frozenset[str]:
    """Classes that the source of an installed module defines, found without importing anything."""
    where: list[str] | None = None
    try:
        spec = None
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:end]), where)
            if spec is None:
                return frozenset()
            where = list(spec.submodule_search_locations or [])
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return frozenset()
        tree = ast.parse(Path(spec.loader.path).read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError, ImportError):
        return frozenset()
    return frozenset(node.name for node in tree.body if isinstance(node, ast.ClassDef))


def listed(names: Iterable[str]) -> str:
    """Names for a message: a few of them, as they may be printed."""
    every = [foreign(name, 80) for name in names]
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more

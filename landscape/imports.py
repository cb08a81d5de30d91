"""The one resolver of ``package.module:attribute``: whatever a user names, it is found and called here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from landscape.errors import InputError, one_line, suggest

__all__ = ["REFERENCE", "call", "import_module", "importing_from", "invoke", "resolve"]

REFERENCE = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
"""Pattern of a reference, for options that hold one."""


def resolve(reference: str, kind: str, folder: Path | None = None) -> Any:
    """The object that a reference names.

    Args:
        reference: ``package.module:attribute``; the attribute may be dotted.
        kind: What it is for, in error messages: ``model builder``, ``data builder``, ``loss``.
        folder: Where the manifest is; modules there come first.

    Raises:
        InputError: If there is no such module or attribute, or importing the module raises.

    Example:
        >>> resolve("math:sqrt", "function")(4.0)
        2.0
        >>> resolve("math:sqr", "function")
        Traceback (most recent call last):
        landscape.errors.InputError: function 'math:sqr': 'math' has no 'sqr'; did you mean 'sqrt'?
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise InputError(f"{kind} '{reference}' must have the form 'package.module:function'.")
    found: Any = import_module(module_name, f"{kind} '{reference}'", folder)
    for part in name.split("."):
        if not hasattr(found, part):
            hint = suggest(part, [n for n in vars(found) if not n.startswith("_")])
            raise InputError(f"{kind} '{reference}': '{module_name}' has no '{part}'; {hint}")
        found = getattr(found, part)
    return found


def call(reference: str, keywords: Mapping[str, Any], kind: str, folder: Path | None = None) -> Any:
    """What the function that a reference names returns.

    Raises:
        InputError: If it cannot be found, is no function, or raises.
    """
    return invoke(resolve(reference, kind, folder), keywords, f"{kind} '{reference}'")


def invoke(function: Any, keywords: Mapping[str, Any], what: str) -> Any:
    """What a user's function returns.

    Args:
        function: As it was found.
        keywords: Its arguments.
        what: Which function it is, at the head of error messages.

    Raises:
        InputError: If it is no function, or raises.

    Example:
        >>> invoke(round, {"number": 2.6}, "function 'builtins:round'")
        3
    """
    if not callable(function):
        raise InputError(f"{what} is a {type(function).__name__}, not a function.")
    try:
        return function(**keywords)
    except (Exception, SystemExit) as error:
        arguments = ", ".join(f"{k}={v!r}" for k, v in keywords.items())
        raise InputError(
            f"{what} called with ({arguments}) raised {type(error).__name__}: {one_line(error)}."
        ) from error


def import_module(name: str, what: str, folder: Path | None = None) -> Any:
    """Import a module; one beside the manifest comes before one of the same name loaded from elsewhere.

    Args:
        name: Its dotted name.
        what: Who asks for it, at the head of error messages.
        folder: Where the manifest is.

    Raises:
        InputError: If it is not there, or raises while it is imported.
    """
    if folder is not None:
        _forget_namesake(name.partition(".")[0], folder)
    importlib.invalidate_caches()  # the file may be younger than Python's list of the folder
    with importing_from(folder):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            where = "" if folder is None else f" beside the manifest ({folder}) or"
            raise InputError(f"{what}: there is no module '{error.name}'{where} installed.") from error
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{what}: importing '{name}' raised {type(error).__name__}: {one_line(error)}."
            ) from error


@contextmanager
def importing_from(folder: Path | None) -> Iterator[None]:
    """Within it, modules in the folder can be imported, before all others."""
    if folder is None:
        yield
        return
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _forget_namesake(top: str, folder: Path) -> None:
    """Drop a loaded module if the folder holds another of its name: manifests may each have ``models``."""
    loaded = sys.modules.get(top)
    own = [folder / f"{top}.py", folder / top / "__init__.py"]
    origin = getattr(loaded, "__file__", None)
    elsewhere = origin is None or Path(origin).resolve() not in [p.resolve() for p in own]
    if loaded is not None and elsewhere and top != "landscape" and any(p.is_file() for p in own):
        for known in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
            del sys.modules[known]

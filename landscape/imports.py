"""The one resolver of ``package.module:attribute``: whatever a user names, it is found and called here."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from landscape.errors import InputError, one_line, suggest
from landscape.text import without_secrets

__all__ = ["LIBRARIES", "REFERENCE", "call", "import_module", "importing_from", "invoke", "resolve"]

REFERENCE = r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$"
"""Pattern of a reference, for options that hold one."""


LIBRARIES = sys.stdlib_module_names | {
    *("landscape", "torch", "torchvision", "torchaudio", "timm", "transformers", "safetensors", "peft"),
    *("accelerate", "lightning", "numpy", "scipy", "xarray", "h5py", "h5netcdf", "netCDF4", "pandas"),
    *("pyarrow", "dask", "distributed", "dask_jobqueue", "plotly", "kaleido", "matplotlib", "rich", "typer"),
    *("click", "pydantic", "pydantic_core", "yaml", "tomli", "psutil", "sklearn", "PIL", "IPython"),
    *("datasets", "tokenizers", "pytorch_lightning", "lightning_fabric", "multiprocess", "dill", "xxhash"),
    *("ipykernel", "joblib", "cloudpickle", "tqdm", "packaging", "pyhessian", "ray", "huggingface_hub"),
}
"""Modules of Python, and those that landscape or a library of its own may import, installed or not."""
_used: set[Path] = set()  # folders of manifests that modules were imported from


def resolve(reference: str, kind: str, folder: Path | None = None) -> Any:
    """The object that a reference names.

    Args:
        reference: ``package.module:attribute``; the attribute may be dotted.
        kind: What it is for, in error messages: ``model builder``, ``data builder``, ``loss``.
        folder: Where the manifest is; modules there come last.

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
        said = f"{what} called with ({arguments}) raised {type(error).__name__}: {one_line(error)}."
        raise InputError(without_secrets(said, keywords)) from error


def import_module(name: str, what: str, folder: Path | None = None) -> Any:
    """Import a module; what is installed comes before what lies beside the manifest.

    Args:
        name: Its dotted name.
        what: Who asks for it, at the head of error messages.
        folder: Where the manifest is.

    Raises:
        InputError: If it is not there, raises while it is imported, or has a namesake that is installed.
    """
    if folder is not None:
        _forget_namesake(name.partition(".")[0], folder)
        _check_name(name.partition(".")[0], what, folder)
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
    """Within it, modules in the folder can be imported, after all others.

    What came with a manifest may hold a file ``torch.py``: it is never taken for a library, not even for one
    that is not installed.
    """
    if folder is None:
        yield
        return
    entry = str(folder)
    guard = _Guard(entry)
    _used.add(folder.resolve())
    sys.path.append(entry)
    sys.meta_path.insert(0, guard)
    try:
        yield
    finally:
        sys.meta_path.remove(guard)
        # The last one: the folder may be on the path for a reason of the user's.
        del sys.path[len(sys.path) - 1 - sys.path[::-1].index(entry)]


class _Guard(importlib.abc.MetaPathFinder):
    """Looks for libraries everywhere but in the folder of a manifest."""

    def __init__(self, entry: str) -> None:
        self._entry = entry

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of a library; ``None``, for which the usual finders are asked, for others."""
        if path is not None or name not in LIBRARIES:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, _Guard):
                continue
            where = None if finder is not PathFinder else [p for p in sys.path if p != self._entry]
            spec = finder.find_spec(name, where, target)
            if spec is not None:
                return spec
        if PathFinder.find_spec(name, [self._entry], target) is None:
            return None  # nobody else finds it either; who only asks whether it is there gets no error
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _own(top: str, folder: Path) -> list[Path]:
    """The files that a module of a manifest's folder may have."""
    return [p for p in (folder / f"{top}.py", folder / top / "__init__.py") if p.is_file()]


def _forget_namesake(top: str, folder: Path) -> None:
    """Drop a loaded module of another manifest's: each may have its ``models``. Libraries stay."""
    origin = getattr(sys.modules.get(top), "__file__", None)
    if origin is None or top in LIBRARIES or not (own := _own(top, folder)):
        return
    file = Path(origin).resolve()
    home = file.parent.parent if file.name == "__init__.py" else file.parent
    if home in _used and file not in [p.resolve() for p in own]:
        for known in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
            del sys.modules[known]


def _check_name(top: str, what: str, folder: Path) -> None:
    """Raise if the folder holds a module that another of its name hides."""
    own = [p.resolve() for p in _own(top, folder)]
    if not own:
        return
    found, origin = sys.modules.get(top), None
    with importing_from(folder), contextlib.suppress(ImportError, ValueError):
        origin = getattr(found, "__file__", None) if found else getattr(find_spec(top), "origin", None)
    if origin is None or Path(origin).resolve() not in own:
        raise InputError(
            f"{what}: there is a module '{top}' beside the manifest, and another one that comes first"
            f" ({origin or 'built in'}); give yours another name."
        )

"""Builders: functions of the user's, named ``package.module:function``, that make models and data."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError, suggest
from landscape.zoo.libraries import library_builder
from landscape.zoo.spec import Builder
from landscape.errors import one_line

if TYPE_CHECKING:
    from torch import nn

    from landscape.base.analysis import Analysis

__all__ = ["build_data", "build_model", "find_analysis", "importing_from", "resolve"]


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Within it, modules beside the manifest can be imported."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def resolve(reference: str, folder: Path, kind: str) -> Callable[..., Any]:
    """The function that a reference names.

    Args:
        reference: ``package.module:function``; for a model also ``timm:NAME`` or ``torchvision:NAME``.
        folder: Where the manifest is; modules there come first.
        kind: What it is for, in error messages: ``model builder``, ``data builder``, ``loss``.

    Raises:
        InputError: If there is no such module or function, or importing it fails.
    """
    module_name, colon, name = reference.partition(":")
    if not colon or not module_name or not name:
        raise InputError(f"{kind} '{reference}' must have the form 'package.module:function'.")
    registered = library_builder(module_name, name) if kind == "model builder" else None
    if registered is not None:
        return registered
    found: Any = _module(module_name, folder, f"{kind} '{reference}'")
    for part in name.split("."):
        if not hasattr(found, part):
            hint = suggest(part, [n for n in vars(found) if not n.startswith("_")])
            raise InputError(f"{kind} '{reference}': '{module_name}' has no '{part}'; {hint}")
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{kind} '{reference}' is a {type(found).__name__}, not a function.")
    function: Callable[..., Any] = found
    return function


def build_model(builder: Builder, folder: Path) -> nn.Module:
    """Call a model builder.

    Raises:
        InputError: If it is missing, raises, or returns no module.
    """
    from torch import nn

    model = _call(builder, folder, "model builder")
    if not isinstance(model, nn.Module):
        raise InputError(
            f"model builder '{builder.reference}' returned a {type(model).__name__}, not a torch.nn.Module."
        )
    return model


def build_data(builder: Builder, folder: Path) -> Any:
    """Call a data builder.

    Raises:
        InputError: If it is missing, raises, or returns nothing.
    """
    data = _call(builder, folder, "data builder")
    if data is None:
        raise InputError(f"data builder '{builder.reference}' returned nothing; return the data.")
    return data


def find_analysis(name: str, folder: Path) -> Analysis:
    """The analysis of that name, or the one at ``package.module:attribute``, also beside a manifest.

    Raises:
        InputError: If there is none, with the nearest name.
    """
    from landscape.base.registry import find

    module_name, colon, _ = name.partition(":")
    if colon:
        _module(module_name, folder, f"analysis '{name}'")
    return find(name)


def _call(builder: Builder, folder: Path, kind: str) -> Any:
    function = resolve(builder.reference, folder, kind)
    try:
        return function(**builder.kwargs)
    except (Exception, SystemExit) as error:
        arguments = ", ".join(f"{k}={v!r}" for k, v in builder.kwargs.items())
        raise InputError(
            f"{kind} '{builder.reference}' called with ({arguments}) raised"
            f" {type(error).__name__}: {one_line(error)}."
        ) from error


def _module(name: str, folder: Path, what: str) -> Any:
    """Import a module, preferring the manifest's folder even to one of the same name loaded before."""
    top = name.partition(".")[0]
    loaded = sys.modules.get(top)
    own = [folder / f"{top}.py", folder / top / "__init__.py"]
    origin = getattr(loaded, "__file__", None)
    elsewhere = origin is None or Path(origin).resolve() not in [p.resolve() for p in own]
    if loaded is not None and elsewhere and top != "landscape" and any(p.is_file() for p in own):
        for known in [m for m in sys.modules if m == top or m.startswith(f"{top}.")]:
            del sys.modules[known]
    importlib.invalidate_caches()
    with importing_from(folder):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(
                f"{what}: there is no module '{error.name}' beside the manifest ({folder}) or installed."
            ) from error
        except (Exception, SystemExit) as error:
            raise InputError(
                f"{what}: importing '{name}' raised {type(error).__name__}: {one_line(error)}."
            ) from error

"""Builders: functions of the user's, named ``package.module:function``, that make models and data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape import imports
from landscape._moved import old_names
from landscape.errors import InputError
from landscape.zoo.libraries import library_builder
from landscape.zoo.sources.names import source_of
from landscape.zoo.spec import Builder

if TYPE_CHECKING:
    from torch import nn

    from landscape.base.analysis import Analysis

__all__ = ["build_data", "build_model", "find_analysis", "resolve"]

__getattr__ = old_names(__name__)


def resolve(reference: str, folder: Path, kind: str) -> Callable[..., Any]:
    """The function that a reference names.

    Args:
        reference: ``package.module:function``; for a model also ``timm:NAME``, ``torchvision:NAME``
            or ``transformers:CLASS``.
        folder: Where the manifest is; modules there come first.
        kind: What it is for, in error messages: ``model builder``, ``data builder``, ``loss``.

    Raises:
        InputError: If there is no such module or function, or importing it fails.
    """
    module_name, _, name = reference.partition(":")
    registered = library_builder(module_name, name, folder) if kind == "model builder" and name else None
    if registered is not None:
        return registered
    found = imports.resolve(reference, kind, folder)
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


def build_data(builder: Builder, folder: Path, progress: Callable[[int, int], None] | None = None) -> Any:
    """Call a data builder, or read data by name.

    Args:
        builder: What makes the data.
        folder: Where the manifest is.
        progress: Told, while data by name is read, how many examples are, and of how many.

    Returns:
        What the user's function returns, or a `landscape.zoo.sources.read.Named`.

    Raises:
        InputError: If it is missing, raises, or returns nothing.
    """
    if source_of(builder.reference) is not None:
        from landscape.zoo.sources.read import named_data

        return named_data(builder.reference, folder, progress=progress, **builder.kwargs)
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
        imports.import_module(module_name, f"analysis '{name}'", folder)
    return find(name)


def _call(builder: Builder, folder: Path, kind: str) -> Any:
    function = resolve(builder.reference, folder, kind)
    return imports.invoke(function, builder.kwargs, f"{kind} '{builder.reference}'")

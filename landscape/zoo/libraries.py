"""Builders that need no code of the user's: ``timm:NAME``, ``torchvision:NAME``, ``transformers:CLASS``.

A name is looked up in the register of the library; nothing is downloaded, and nothing that lies in a zoo
is run.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from landscape.errors import InputError, one_line, suggest
from landscape.zoo.spec import Builder

__all__ = ["library_builder", "timm_builder"]

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)?")
# Arguments of timm.create_model that would read files or the network instead of describing the model.
_NOT_THE_MODEL = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}


def library_builder(library: str, name: str, folder: Path | None = None) -> Callable[..., Any] | None:
    """The function that makes a registered model without weights; ``None`` for other modules.

    Args:
        library: ``timm``, ``torchvision`` or ``transformers``; other names give ``None``.
        name: As the library registers it.
        folder: What the folder of an adapter's base is relative to.

    Raises:
        InputError: If the library is not installed, or knows no such model.
    """
    if library == "transformers":
        from landscape.zoo.described.transformers import transformers_model

        return transformers_model(name, folder)
    if library not in ("timm", "torchvision"):
        return None
    try:
        module: Any = importlib.import_module("timm" if library == "timm" else "torchvision.models")
    except ImportError as error:
        raise InputError(
            f"model builder '{library}:{name}' needs {library}, which is not installed:"
            f" pip install {library}."
        ) from error
    except Exception as error:  # such as a build for another version of torch
        raise InputError(
            f"model builder '{library}:{name}': importing {library} raised {type(error).__name__}:"
            f" {one_line(error)}."
        ) from error
    if library == "timm" and module.is_model(name):
        return partial(module.create_model, name, pretrained=False)
    if library == "torchvision" and name in module.list_models():
        return partial(module.get_model, name, weights=None)
    # Never another function of the library: a name may come from a file in a zoo.
    raise InputError(
        f"model builder '{library}:{name}': {library} has no such model; {_hint(name, module.list_models())}"
    )


def _hint(name: str, known: list[str]) -> str:
    """The nearest name, without a list of a thousand others."""
    hint = suggest(name, known)
    return hint if hint.startswith("did you mean") else f"it knows {len(known)} others."


def timm_builder(name: object, options: Mapping[str, Any]) -> Builder | None:
    """The builder that a file of timm describes; ``None`` if it names no architecture.

    Args:
        name: The architecture.
        options: Arguments for it; all that is not a plain value describing the model is left out.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        return None
    kept = {k: v for k, v in options.items() if k not in _NOT_THE_MODEL and _is_plain(v)}
    return Builder(f"timm:{name}", kept)


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(_is_plain(v) for v in value)
    return isinstance(value, bool | int | float | str)

"""What a flag names, with its arguments, written as a call: ``torchvision:resnet18(num_classes=10)``."""

from __future__ import annotations

import ast
import re
from typing import Any

from landscape.errors import InputError
from landscape.imports import REFERENCE
from landscape.zoo.sources.names import DATA_REFERENCE
from landscape.zoo.spec import Builder

__all__ = ["builder_of", "chosen_of"]

_CALL = re.compile(r"(.+?)\((.*)\)", re.DOTALL)
_CHOICE = re.compile(r"([^=:()]+)=(.+)", re.DOTALL)


def builder_of(flag: str, text: str) -> Builder:
    """A reference and its arguments; values are read as Python writes them and are not run.

    Args:
        flag: The option, for error messages.
        text: ``package.module:function``, or with arguments ``package.module:function(name=value)``.

    Raises:
        InputError: If it is neither.

    Example:
        >>> builder_of("--data", "csv:pets.csv(y='kind')")
        Builder(reference='csv:pets.csv', kwargs={'y': 'kind'})
    """
    match = _CALL.fullmatch(text.strip())
    reference, kwargs = (match[1], _arguments(match[2])) if match else (text.strip(), {})
    if kwargs is None:  # brackets in the name of a file
        reference, kwargs = text.strip(), {}
    if not re.match(DATA_REFERENCE if flag == "--data" else REFERENCE, reference):
        raise InputError(
            f"{flag} takes NAME:PLACE or package.module:function, with arguments as in"
            f" 'package.module:function(width=8)'; got '{text[:80]}'."
        )
    return Builder(reference, kwargs)


def chosen_of(flag: str, text: str) -> tuple[str, Builder]:
    """A glob and what it chooses; the glob is empty if none is given.

    Example:
        >>> chosen_of("--model", "vit-*=timm:vit_tiny_patch16_224(num_classes=10)")
        ('vit-*', Builder(reference='timm:vit_tiny_patch16_224', kwargs={'num_classes': 10}))
    """
    match = _CHOICE.fullmatch(text.strip())
    return (match[1].strip(), builder_of(flag, match[2])) if match else ("", builder_of(flag, text))


def _arguments(text: str) -> dict[str, Any] | None:
    """What stands between brackets, if these are arguments by name with plain values."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args or any(k.arg is None for k in call.keywords):
            return None
        return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
        return None

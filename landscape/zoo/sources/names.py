"""The names of data: ``imagefolder:DIR``, ``npz:FILE`` and others; known without torch."""

from __future__ import annotations

import re

from landscape.imports import REFERENCE

__all__ = ["DATA_REFERENCE", "FORMS", "KINDS", "of_files", "source_of"]

KINDS = ("imagefolder", "torchvision", "hf", "npz", "npy", "pt", "csv", "parquet")
"""What data can be named by, before the colon."""

FORMS = (
    "imagefolder:DIR, torchvision:CIFAR10, hf:NAME_OR_DIR, npz:FILE,"
    " npy:FILE, pt:FILE, csv:FILE, parquet:FILE"
)
"""The same with what follows, for messages."""

_NAMED = re.compile(rf"({'|'.join(KINDS)}):(.+)", re.DOTALL)

DATA_REFERENCE = rf"{REFERENCE}|^(?:{'|'.join(KINDS)}):.+$"
"""Pattern of what names data: a function of the user's, or a source."""


def source_of(reference: str) -> tuple[str, str] | None:
    """Kind and place of data by name; ``None`` for a function of the user's.

    Example:
        >>> source_of("imagefolder:photos/val"), source_of("my_data:build")
        (('imagefolder', 'photos/val'), None)
    """
    match = _NAMED.fullmatch(reference)
    return (match[1], match[2]) if match else None


def of_files(kind: str) -> bool:
    """Whether what follows the colon is a path."""
    return kind not in ("torchvision", "hf")

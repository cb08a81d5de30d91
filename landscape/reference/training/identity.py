"""What tells one training from another: its settings, its start and its data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from landscape.errors import InputError

__all__ = ["as_json", "belongs", "fingerprint"]


def belongs(notes: Mapping[str, Any] | None, identity: Mapping[str, Any]) -> bool:
    """Whether a file with these notes belongs to a training."""
    return notes is not None and notes.get("identity") == identity


def fingerprint(*tensors: Tensor) -> str:
    """SHA-256 of types, shapes and values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts as they come back from a file, so that the two can be compared.

    Raises:
        InputError: If they hold what JSON cannot.
    """
    try:
        read: dict[str, Any] = json.loads(json.dumps(facts, default=dict))
    except (TypeError, ValueError) as error:
        raise InputError(
            "train: the note and the objective must hold only what JSON can hold, such as strings and"
            f" numbers, but {error}."
        ) from error
    return read

"""Checkpoints: files of weights, read as data and never as programs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from landscape.zoo.fitting.fit import load_into
from landscape.zoo.fitting.keys import strip_prefixes
from landscape.zoo.reading.parts import INDEX_ENDINGS, files_of
from landscape.zoo.reading.weights import State, read_whole, unreadable

__all__ = [
    "SUFFIXES",
    "TRUST_WARNING",
    "file_sha256",
    "file_stamp",
    "file_times",
    "load_checkpoint",
    "load_into",
    "read_checkpoint",
    "read_state",
    "strip_prefixes",
    "without_ending",
]

SUFFIXES = (".pt", ".pth", ".pth.tar", ".ckpt", ".bin", ".pkl", ".safetensors", ".th")
"""Endings of checkpoint files."""

TRUST_WARNING = "WARNING: pickles are trusted: loading a checkpoint may run ANY program hidden in it."


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, and of the hashes of the files that belong to it.

    Raises:
        CheckpointError: If the file is missing or cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        for part in files_of(path)[1:]:
            digest.update(file_sha256(part).encode())
        return digest.hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def file_stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in ns of a file and what belongs to it; zeros if one is missing."""
    return file_times(path)[:2]


def file_times(path: Path) -> tuple[int, int, int]:
    """Those of `file_stamp`, and when in ns it was last changed, replaced or renamed.

    By the system's own record, where there is one: archives and copies set the other time as they please.
    """
    try:
        all_of_it = [part.stat() for part in files_of(path)]
    except OSError:
        return 0, 0, 0
    changed = max(s.st_mtime_ns for s in all_of_it)
    recorded = changed if os.name == "nt" else max(s.st_ctime_ns for s in all_of_it)
    return sum(s.st_size for s in all_of_it), changed, recorded


def load_checkpoint(path: str | Path, *, allow: Iterable[str] = (), trust_pickle: bool = False) -> State:
    """Read a state_dict from a file and strip wrapper prefixes from its keys.

    Args:
        path: A ``.safetensors`` file, or one of ``torch.save`` that holds a state_dict at any depth: of
            several, that under ``state_dict``, ``model_state_dict`` or ``model``, else the largest.
        allow: Dotted names that the pickle may import, one by one.
        trust_pickle: Run whatever the pickle says. It can run any program: only for your own files.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        CheckpointError: If the file is missing, damaged, no checkpoint, or names things that it may
            not import.
    """
    return strip_prefixes(read_state(Path(path), allow=allow, trust_pickle=trust_pickle))


def read_state(
    path: Path, *, allow: Iterable[str] = (), trust_pickle: bool = False, mmap: bool = False
) -> State:
    """As `load_checkpoint`, with the keys as they are in the file."""
    return read_checkpoint(path, allow=allow, trust_pickle=trust_pickle, mmap=mmap)[0]


def read_checkpoint(
    path: Path, *, allow: Iterable[str] = (), trust_pickle: bool = False, mmap: bool = False
) -> tuple[State, Mapping[Any, Any]]:
    """The state_dict of a file as it is there, and what the file holds beside it.

    Args:
        path: The file.
        allow: Dotted names that the pickle may import.
        trust_pickle: Run whatever the pickle says.
        mmap: Leave the tensors on disk until they are used (for a quick look).

    Returns:
        Tensors by name; and the other entries of the outermost dictionary, if there is one.
    """
    read = read_whole(path, allow=allow, trust_pickle=trust_pickle, mmap=mmap)
    return read.state, read.beside


def without_ending(path: str) -> str:
    """A path without the ending of a checkpoint file, and whole if it has another.

    Example:
        >>> without_ending("a/last.pth.tar"), without_ending("epoch=3-val_loss=0.25")
        ('a/last', 'epoch=3-val_loss=0.25')
    """
    ending = max((e for e in (*SUFFIXES, *INDEX_ENDINGS) if path.endswith(e)), key=len, default="")
    return path.removesuffix(ending)

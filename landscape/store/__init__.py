"""The store: one task is one atomic HDF5 file; a report is read from these files alone.

Nothing here imports torch, and xarray only when a file is read or written.
"""

from __future__ import annotations

from landscape.store.contents import Contents, Section, read_contents
from landscape.store.files import open, save
from landscape.store.records import Failure, FileHash, ModelRecord, SectionRecord, Snapshot
from landscape.store.store import Store, task_key
from landscape.store.zoo_file import consolidate, read_field

__all__ = [
    "Contents",
    "Failure",
    "FileHash",
    "ModelRecord",
    "Section",
    "SectionRecord",
    "Snapshot",
    "Store",
    "consolidate",
    "open",
    "read_contents",
    "read_field",
    "save",
    "task_key",
]

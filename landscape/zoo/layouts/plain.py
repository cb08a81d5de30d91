"""Plain files: every file that holds weights is a model, and its group is its folder."""

from __future__ import annotations

from landscape.zoo.checkpoint import SUFFIXES
from landscape.zoo.layouts.base import Found, Layout, Scan

__all__ = ["PLAIN"]


def _find(scan: Scan) -> Found:
    found = Found()
    for file in scan.files:
        if file.name.endswith(SUFFIXES):
            found.take(scan, file, group="-".join(file.parent.relative_to(scan.root).parts))
    return found


PLAIN = Layout("plain", _find)

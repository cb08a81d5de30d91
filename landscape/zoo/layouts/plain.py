"""Plain files: every file that holds weights is a model."""

from __future__ import annotations

from landscape.zoo.checkpoint import SUFFIXES
from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.run_folders import beside_run

__all__ = ["PLAIN"]


def _find(scan: Scan) -> Found:
    found = Found()
    for file in scan.files:
        if file.name.endswith(SUFFIXES):
            found.take(scan, file, given=beside_run(scan, file, found))
    return found


PLAIN = Layout("plain", _find)

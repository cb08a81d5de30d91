"""Training trajectories: the epoch or step stands in the name of the file or of its folder."""

from __future__ import annotations

from landscape.zoo.checkpoint import SUFFIXES, without_ending
from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.names import PROGRESS
from landscape.zoo.layouts.run_folders import beside_run

__all__ = ["TRAJECTORY"]


def _find(scan: Scan) -> Found:
    found = Found()
    for file in scan.files:
        path = without_ending(scan.relative(file))
        if file.name.endswith(SUFFIXES) and any(p.search(path) for p in PROGRESS.values()):
            found.take(scan, file, given=beside_run(scan, file, found))
    return found


TRAJECTORY = Layout("trajectory", _find)

"""Training trajectories: the epoch or step stands in the name of the file or of its folder."""

from __future__ import annotations

import re

from landscape.zoo.checkpoint import SUFFIXES, without_ending
from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.names import PROGRESS

__all__ = ["TRAJECTORY"]


def _find(scan: Scan) -> Found:
    """The group is the run: the path without what it says of epoch and step."""
    found = Found()
    for file in scan.files:
        path = without_ending(scan.relative(file))
        if file.name.endswith(SUFFIXES) and any(p.search(path) for p in PROGRESS.values()):
            found.take(scan, file, group=_run(path))
    return found


def _run(path: str) -> str:
    for pattern in PROGRESS.values():
        path = pattern.sub("", path)
    parts = (re.sub(r"^[-_.]+|[-_.]+$", "", part) for part in path.split("/"))
    return "-".join(part for part in parts if part)


TRAJECTORY = Layout("trajectory", _find)

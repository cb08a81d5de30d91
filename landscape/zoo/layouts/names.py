"""Facts that the names of files and folders state."""

from __future__ import annotations

import re

from landscape.zoo.layouts.run_metadata import Facts
from landscape.zoo.spec import parse_seed

__all__ = ["PROGRESS", "facts_in_name"]

_INTEGER, _NUMBER = r"\d+", r"\d+(?:\.\d+)?(?:e-?\d+)?"


def _stated(words: str, number: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[-_./])(?:{words})[-_=]?({number})(?=$|[-_./])", re.IGNORECASE)


PROGRESS = {
    "epoch": _stated("epochs?|ep", _INTEGER),
    "step": _stated("(?:global_?)?steps?|iter(?:ation)?s?", _INTEGER),
}
"""How a name states how far training had come."""

_WHOLE = {
    "width": _stated("width|w", _INTEGER),
    "batch_size": _stated("batch_?size|batch|bs", _INTEGER),
}
_REAL = {
    "learning_rate": _stated("learning_?rate|lr", _NUMBER),
    "weight_decay": _stated("weight_?decay|wd", _NUMBER),
}


def facts_in_name(path: str) -> Facts:
    """Seed, epoch, step, width, batch size, learning rate and weight decay in a path without its ending.

    Of several statements, the innermost counts.

    Example:
        >>> facts_in_name("bs_16/ResNet18_w8/net-s1_epoch=3").tags
        {'epoch': 3, 'width': 8, 'batch_size': 16}
    """
    tags: dict[str, int | float] = {}
    for name, pattern in (PROGRESS | _WHOLE).items():
        if stated := pattern.findall(path):
            tags[name] = int(stated[-1])
    for name, pattern in _REAL.items():
        if stated := pattern.findall(path):
            tags[name] = float(stated[-1])
    return Facts(tags, {}, parse_seed(path))

"""Flipped bits: the first few dozen of `flips.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("flips", Path(__file__).with_name("flips.py"))
flips = importlib.util.module_from_spec(spec)
spec.loader.exec_module(flips)


def test_every_flipped_bit_is_noticed():
    """Oracle: the bytes before, of which one bit differs, wherever it is; two readers of each file."""
    assert dict(flips.campaign(40, 0)) == {"a result: noticed": 80, "zoo.h5: noticed": 80}

"""Changed files of strangers: the first few hundred of `fuzz.py`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).with_name("fuzz.py"))
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.filterwarnings("ignore")
def test_nothing_runs_and_every_fault_is_a_sentence(seed):
    """Oracle: each file holds a program that would make a folder; the files before and after."""
    happened, wrong = fuzz.campaign(150, seed)
    assert wrong == []
    assert sum(happened.values()) == 150
    assert any("read" in what for what in happened)

"""The script that is run where there is a GPU, in small on a processor: every part ends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from landscape.imports import resolve

FOLDER = Path(__file__).parents[1] / "benchmarks"
PARTS = ("agreement", "products", "surface", "cka", "features", "lanczos")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # of torch's own forward mode
def test_a_part_in_small(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a bound where float32 is compared with float64, or vectors with each other; else the end."""
    parts, setting = (resolve(f"gpu:{name}", "benchmark", FOLDER) for name in ("PARTS", "Setting"))
    assert tuple(parts) == PARTS
    rounds = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        parts[part](setting("cpu", True))
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = rounds
    out = capsys.readouterr().out
    assert out
    if part in ("agreement", "lanczos"):
        errors = [float(number) for number in re.findall(r"\d\.\de-\d+", out)]
        assert errors and max(errors) < 1e-5
